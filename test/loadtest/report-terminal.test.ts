import { describe, expect, test } from 'vitest';
import { openTerminal, sparkline } from '../../loadtest/report/terminal.ts';
import { aRecord } from './a-record.ts';

const esc = '\x1b';
/** Up by some lines, and all below is wiped. */
const redrawing = new RegExp(`${esc}\\[(\\d+)A${esc}\\[0J`);

function aTerminal({ isTTY = false, columns = 200 } = {}) {
  const written: string[] = [];
  let now = 0;
  const terminal = openTerminal({
    units: 5_000,
    out: { write: (text) => written.push(text), isTTY, columns },
    clock: () => now,
  });
  return {
    terminal,
    pass: (ms: number) => {
      now += ms;
    },
    text: () => written.join(''),
    /** What stands on the screen once every redrawing has been done. */
    screen() {
      const lines: string[] = [];
      for (const text of written) {
        const up = redrawing.exec(text)?.[1];
        if (up) lines.length -= Number(up);
        else lines.push(...text.replace(/\n$/, '').split('\n'));
      }
      return lines;
    },
  };
}

const busy = aRecord().timeline.filter(({ atMs }) => atMs >= 0 && atMs <= 3_000);

describe('the progress of a run', () => {
  test('on a terminal is one block drawn anew, with each step that is over above it', () => {
    const { terminal, pass, screen } = aTerminal({ isTTY: true });
    terminal.phase('start');
    pass(2_100);
    terminal.phase('gather');
    terminal.progress(1_000, 52_000);
    pass(3_000);
    terminal.phase('sale', 'mi2-weibo-2012');
    for (const moment of busy) {
      pass(500);
      terminal.moment(moment);
    }
    const lines = screen();
    expect(lines.slice(0, 2)).toEqual([
      '✓ starting the engine  2.10 s',
      '✓ gathering the crowd  3.00 s',
    ]);
    expect(lines[2]).toContain('sale  mi2-weibo-2012');
    expect(lines.slice(3).map((line) => line.trim().split(' ')[0])).toEqual([
      ...['clock', 'arrivals', 'accepted', 'stock', 'p99'],
    ]);
    expect(lines.join('\n')).toMatch(/held · [\d,]+ sold/);
    terminal.say('a note');
    terminal.end();
    expect(screen().slice(2, 3)).toEqual(['a note']);
    expect(screen().at(-1)).toMatch(/^✓ sale/);
  });

  test('never wraps, for a wrapped block cannot be drawn anew', () => {
    const { terminal, pass, text } = aTerminal({ isTTY: true, columns: 40 });
    terminal.phase('sale');
    for (const moment of busy) {
      pass(500);
      terminal.moment(moment);
    }
    const lines = text().replaceAll(new RegExp(redrawing, 'g'), '').split('\n');
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThan(40);
  });

  test('elsewhere is a line now and then, without a control character', () => {
    const { terminal, pass, text } = aTerminal();
    terminal.phase('sale');
    for (const moment of aRecord().timeline.slice(0, 60)) {
      pass(500);
      terminal.moment(moment);
    }
    terminal.end();
    expect(text()).not.toContain('\x1b');
    const lines = text().trim().split('\n');
    expect(lines.length).toBeGreaterThan(4);
    expect(lines.length).toBeLessThan(10);
    expect(lines[2]).toMatch(/arrivals\/s .* accepted\/s/);
    expect(lines.at(-1)).toMatch(/sale took 30\.0 s/);
  });
});

test('a sparkline shows the highest value full and nothing as nothing', () => {
  expect(sparkline([0, 1, 50, 100])).toBe(' ▁▅█');
  expect(sparkline([0, 0])).toBe('  ');
  expect(sparkline([])).toBe('');
});
