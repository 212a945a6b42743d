import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readRecord } from '../../loadtest/report/record-file.ts';
import { eventually } from '../support/eventually.ts';
import { startMs } from '../support/patience.ts';
import { nodeFlags } from '../support/program.ts';

const spike = fileURLToPath(new URL('../../loadtest/spike.ts', import.meta.url));

let folder: string;
let temporary: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'flashdrop replay '));
  temporary = mkdtempSync(join(tmpdir(), 'flashdrop-replay-'));
});
afterAll(() => {
  for (const path of [folder, temporary]) rmSync(path, { recursive: true, force: true });
});

/** The command as a user runs it; its temporary files go to a folder of the test's. */
function run(...args: string[]) {
  const child = spawn(process.execPath, [...nodeFlags, spike, ...args], {
    cwd: folder,
    env: { ...process.env, TMPDIR: temporary },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (part: string) => {
      text += part;
    });
  }
  const ended = once(child, 'close').then(([code]) => code as number | null);
  return { child, ended, text: () => text };
}

const small = [
  ...['--set', 'units=20', '--set', 'people=80', '--set', 'bots=1', '--set', 'looks=1'],
  ...['--set', 'leadMs=500', '--set', 'feedMs=1500', '--set', 'appointments=300'],
];

/** Processes that were started for a run: they name its folder, or work in it. */
function left(): string[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .flatMap((pid) => {
      try {
        const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
        const where = readlinkSync(`/proc/${pid}/cwd`);
        return command.includes(temporary) || where.startsWith(temporary) ? [command] : [];
      } catch {
        return []; // It has ended meanwhile.
      }
    });
}

test('one command replays a sale, audits it, writes page and record, and leaves nothing running', async () => {
  const [report, json] = [join(folder, 'run.html'), join(folder, 'run.json')];
  const files = ['--report', report, '--json', json];
  const uninvited = ['--set', 'uninvited=0.25'];
  const { ended, text } = run(...small, ...uninvited, '--set', 'crowdMs=3000', ...files);
  expect(await ended, text()).toBe(0);
  const record = readRecord(json);
  expect(record).toMatchObject({
    engine: { own: true, redis: 'embedded', ledger: 'embedded' },
    verdict: { clean: true },
    pacing: { valid: true },
    sale: { appointments: 300, importMs: expect.any(Number) },
    outcome: { refused: { no_appointment: expect.any(Number) } },
  });
  const { firstAcceptedAtMs = 0, allAcceptedAtMs = 0, settledAtMs = 0, accepted } = record.outcome;
  expect(accepted).toBeGreaterThanOrEqual(20);
  expect(firstAcceptedAtMs).toBeGreaterThan(0);
  expect(allAcceptedAtMs).toBeGreaterThan(firstAcceptedAtMs);
  expect(settledAtMs).toBeGreaterThanOrEqual(allAcceptedAtMs);
  expect(readFileSync(report, 'utf8')).toContain('Every promise held');
  expect(readdirSync(temporary)).toEqual([]);
});

test('Ctrl-C in the middle of a sale ends all that was started and leaves no file', {
  skip: process.platform !== 'linux',
}, async () => {
  const report = join(folder, 'stopped.html');
  const { child, ended, text } = run(...small, '--set', 'crowdMs=60000', '--report', report);
  await eventually(() => text().includes('\nsale'), { withinMs: startMs });
  expect(left().length).toBeGreaterThan(1);
  child.kill('SIGINT');
  expect(await ended, text()).toBe(130);
  expect(text()).toContain('stopped by SIGINT: there is no result');
  expect(left()).toEqual([]);
  expect(readdirSync(temporary)).toEqual([]);
  expect(readdirSync(folder)).not.toContain('stopped.html');
});

test('what cannot work is refused in a line, before anything is started', async () => {
  const refusals: [number, RegExp, string[]][] = [
    [
      2,
      /none\/run\.html cannot be written: its folder does not exist/,
      ['--report', 'none/run.html'],
    ],
    [2, /cannot be written: it is a folder/, ['--json', folder]],
    [2, /both report and json/, ['--json', 'a', '--report', './a']],
    [
      4,
      /no engine answers at .*ECONNREFUSED/,
      ['--url', 'http://localhost:1', '--merchant-key', 'k'],
    ],
  ];
  await Promise.all(
    refusals.map(async ([code, reason, args]) => {
      const { ended, text } = run(...args);
      expect(await ended, text()).toBe(code);
      expect(text()).toMatch(reason);
      expect(text()).not.toContain('starting the engine');
    }),
  );
  expect(readdirSync(temporary)).toEqual([]);
});
