import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, expectTypeOf, test } from 'vitest';
import type { z } from 'zod';
import { feltIn } from '../../loadtest/record/felt.ts';
import type { SpikeRecord } from '../../loadtest/record/record.ts';
import { bestSecond } from '../../loadtest/record/seconds.ts';
import { compare } from '../../loadtest/report/compare.ts';
import { pageOf } from '../../loadtest/report/html.ts';
import { plotsOf } from '../../loadtest/report/plots.ts';
import {
  RecordFileError,
  readRecord,
  type recordSchema,
  writeRecord,
} from '../../loadtest/report/record-file.ts';
import { summaryOf } from '../../loadtest/report/summary.ts';
import { openView } from '../../loadtest/report/view.ts';
import { aRecord } from './a-record.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'flashdrop report '));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const plots = [
  ...['opening', 'arrivals', 'accepted', 'refused', 'stock', 'latency', 'settlement', 'queues'],
  ...['cpu', 'memory'],
];

function invalidRecord(): SpikeRecord {
  const { pacing } = aRecord();
  const reason = 'requests left up to 2.31 s late, 250 ms are allowed';
  return aRecord({ pacing: { ...pacing, valid: false, reason } });
}

function brokenRecord(): SpikeRecord {
  const { points } = aRecord().verdict;
  return aRecord({
    verdict: {
      clean: false,
      points: points.map((point) => ({ ...point, ok: point.point !== 'A' })),
      breaches: [{ point: 'A', promise: 1, order: 'ord_0_feed', text: 'a unit was sold twice' }],
    },
  });
}

/** Every element that is opened is closed, in order; gives the names seen. */
function elementsOf(page: string): Set<string> {
  const empty = new Set(['meta', '!doctype']);
  const open: string[] = [];
  const seen = new Set<string>();
  const bare = page.replace(/(<(style|script)>)[\s\S]*?(<\/\2>)/g, '$1$3');
  for (const [tag, end, name = '', rest = ''] of bare.matchAll(/<(\/?)([!\w]+)([^<>]*)>/g)) {
    seen.add(name);
    if (end) expect(open.pop(), tag).toBe(name);
    else if (!empty.has(name) && !rest.endsWith('/')) open.push(name);
    expect(rest, tag).toMatch(/^(\s+[\w-]+(="[^"<>]*")?)*\s*\/?$/);
  }
  expect(open).toEqual([]);
  const text = bare.replace(/<\/?[!\w][^<>]*>/g, '');
  expect(text).not.toMatch(/[<>]|&(?!(amp|lt|gt|quot|#39);)/);
  return seen;
}

describe('the page of a run', () => {
  test('stands alone: no address is fetched, and it reads without its script', () => {
    const page = pageOf(aRecord());
    expect(page).toContain(`content="default-src 'none'`);
    expect(page).not.toMatch(/(src|href)=|@import|url\((?!#)/);
    const bare = page.replace(/<script>[\s\S]*<\/script>/, '');
    for (const told of ['5,000 units', '6.82 s', 'sold_out', '32,607', 'Every promise held']) {
      expect(bare).toContain(told);
    }
  });

  test('is well-formed, and draws each plot with a title and a description', () => {
    const page = pageOf(aRecord());
    expect(elementsOf(page)).toContain('svg');
    for (const plot of plots) {
      const drawn = page.slice(page.indexOf(`<figure class="plot`), page.length);
      const figure = drawn.slice(drawn.indexOf(`id="${plot}"`));
      const end = figure.indexOf('</figure>');
      expect(figure.slice(0, end), plot).toMatch(/<title id="[^"]+">[^<]+<\/title>/);
      expect(figure.slice(0, end), plot).toMatch(/<desc id="[^"]+">[^<]+at most/);
      expect(figure.slice(0, end), plot).toMatch(/<path class="(line|area) c\d[^>]*d="M[\d.]+ /);
    }
    expect(plotsOf(aRecord()).map(({ id }) => id)).toEqual(plots);
  });

  test('has the real sale beside ours, and all that it takes to run it again', () => {
    const record = aRecord();
    const page = pageOf(record, { showUpShare: { unit: 'share', text: 'how many come at all' } });
    for (const told of ['1,300,000', '5 min 5 s', 'how many come at all', '40 %']) {
      expect(page).toContain(told);
    }
    const { plan, machine, versions, engine } = record;
    for (const told of [
      plan.command,
      String(plan.seed),
      machine.cpu,
      versions.node,
      engine.redis,
    ]) {
      expect(page).toContain(told);
    }
  });

  test('lets no text out of its place, whatever a title or an engine says', () => {
    const hostile = `</script><img src=x onerror="alert('1')">&amp;\0`;
    const kept = new Set(['format', 'ledger', 'point', 'startedAt']);
    const poison = (value: unknown, key = ''): unknown => {
      if (typeof value === 'string') return kept.has(key) ? value : hostile;
      if (Array.isArray(value)) return value.map((item) => poison(item));
      if (typeof value !== 'object' || value === null) return value;
      const named = key === 'refused' || key === 'figures' || key === 'parameters';
      return Object.fromEntries(
        Object.entries(value).map(([k, v]) => [named ? `${hostile}${k}` : k, poison(v, k)]),
      );
    };
    const page = pageOf(poison(brokenRecord()) as SpikeRecord);
    expect(elementsOf(page)).not.toContain('img');
    expect(page.match(/<\/script>/g)).toHaveLength(1);
    expect(page).not.toContain('\0');
  });

  test('of an invalid run says so first and by how much, and gives no result', () => {
    const page = pageOf(invalidRecord());
    expect(page).toMatch(
      /class="verdict invalid"[\s\S]*not a result: requests left up to 2.31 s late/,
    );
    expect(page).toContain('None of it is a result');
    for (const heading of ['All units taken after', '<h2>Latency', '<h2>Beside', '<h2>Refusals']) {
      expect(page).not.toContain(heading);
    }
    expect(pageOf(aRecord())).toContain('<h2>Latency');
  });

  test('of a broken promise names the point, the promise and the order', () => {
    const page = pageOf(brokenRecord());
    expect(page).toContain('The auditor found 1 breach at (A) (promise 1).');
    expect(page).toMatch(/<code>ord_0_feed<\/code>: a unit was sold twice/);
  });

  test('of a run that saw nothing of the engine draws what there is', () => {
    const timeline = aRecord().timeline.map((moment) => ({ ...moment, engine: undefined }));
    const page = pageOf(aRecord({ timeline }));
    elementsOf(page);
    expect(page.match(/Nothing was seen of this/g)).toHaveLength(5);
    expect(elementsOf(pageOf(aRecord({ timeline: [], latency: {} })))).not.toContain('path data');
  });
});

describe('a plot', () => {
  const seenOf = (stock: number[]) => {
    const { timeline } = aRecord();
    return aRecord({
      timeline: timeline.slice(0, 26).map((moment, n) => {
        const engine = moment.engine && stock.includes(n) ? moment.engine : undefined;
        return { ...moment, engine };
      }),
    });
  };
  const pathsOf = (record: SpikeRecord) => {
    const page = pageOf(record);
    const plot = page.slice(page.indexOf('id="settlement"'));
    return /<path class="line c0"[^>]*d="([^"]*)"/.exec(plot)?.[1] ?? '';
  };

  test('shows a hole where an engine was silent, not where it was merely not asked', () => {
    const runsOf = (stock: number[]) =>
      pathsOf(seenOf(stock))
        .split('M')
        .slice(1)
        .map((run) => run.split('L').length);
    expect(runsOf([0, 1, 2, 3])).toEqual([4]);
    expect(runsOf([0, 1, 11])).toEqual([3]);
    // More than five seconds apart; one alone is drawn as wide as its step.
    expect(runsOf([0, 1, 12, 23, 24])).toEqual([2, 2, 2]);
  });

  test('names instants that lie close in rows of their own, and none that is out of sight', () => {
    const { outcome } = aRecord();
    const marks = (allAcceptedAtMs: number) => {
      const page = pageOf(aRecord({ outcome: { ...outcome, allAcceptedAtMs } }));
      const plot = /id="arrivals"[\s\S]*?<\/figure>/.exec(page)?.[0] ?? '';
      return [...plot.matchAll(/row(\d)" style="[^"]*">([^<]*)/g)].map(
        ([, row, name]) => `${name}${row}`,
      );
    };
    expect(marks(4_200)).toEqual(['opening0', 'all taken1', 'settled0']);
    expect(marks(20_000)).toEqual(['opening0', 'all taken0', 'settled1']);
    const close = /id="opening"[\s\S]*?<\/figure>/.exec(pageOf(aRecord()))?.[0] ?? '';
    expect(close).toContain('>all taken<');
    expect(close).not.toContain('>settled<');
  });
});

describe('a long timeline', () => {
  test('is drawn in fewer steps: the best second and the worst latency stay', () => {
    const { timeline } = aRecord();
    const whole = openView(timeline, { stepsMax: timeline.length });
    const few = openView(timeline, { stepsMax: 50 });
    expect(whole.ends).toHaveLength(timeline.length);
    expect(few.ends.length).toBeLessThanOrEqual(50);
    expect(few.ends.at(-1)).toBe(whole.ends.at(-1));
    for (const view of [whole, few]) {
      const worst = view.highest(({ latency }) => latency.buy_accepted?.p99);
      expect(Math.max(...view.seconds(({ sent }) => sent))).toBe(whole.best(({ sent }) => sent));
      expect(Math.max(...worst.map((value) => value ?? 0))).toBe(
        Math.max(...timeline.map(({ latency }) => latency.buy_accepted?.p99 ?? 0)),
      );
      expect(view.latest(({ engine }) => engine?.units?.sold).at(-1)).toBe(
        timeline.at(-1)?.engine?.units?.sold,
      );
    }
  });
});

test('one figure has one peak: page, plots, terminal and comparison tell the same best second', () => {
  const record = aRecord();
  const most = bestSecond(record.timeline, ({ accepted }) => accepted);
  const told = most.toLocaleString('en-US');
  for (const { id, series } of plotsOf(record).filter(({ id }) => /opening|accepted/.test(id))) {
    const accepted = series.find(({ name }) => name === 'accepted');
    expect(accepted?.told, id).toBe(`peak ${told} a second`);
    expect(Math.max(...(accepted?.values ?? []).map((value) => value ?? 0)), id).toBe(most);
  }
  expect(pageOf(record)).toContain(`<dt>Accepted in the best second</dt><dd>${told}</dd>`);
  expect(summaryOf(record, {})).toContain(`peak ${told} accepted a second`);
  // By hand: the two neighbouring steps of half a second with the most.
  const { timeline } = record;
  const pairs = timeline.map((moment, n) => moment.accepted + (timeline[n - 1]?.accepted ?? 0));
  expect(most).toBe(Math.max(...pairs));
});

describe('what the buyers felt', () => {
  const { outcome, latency } = aRecord();
  const slow = { count: 9, p50: 4_000, p90: 9_000, p99: 9_600, p999: 9_700, max: 9_800 };
  const crowded = aRecord({
    outcome: {
      ...outcome,
      accepted: 3_900,
      replayed: 100,
      refused: { sold_out: 35_000, overloaded: 59_000, http_502: 1_000, no_answer: 1_000 },
    },
    latency: { ...latency, buy_refused: slow },
  });

  test('is the first thing that a report says: a run that sent most of its buyers away is never called clean', () => {
    for (const text of [pageOf(crowded), summaryOf(crowded, {})]) {
      expect(text).not.toMatch(/clean/i);
      for (const told of ['39.0 % of the Buys were served', '60.0 % were turned away']) {
        expect(text).toContain(told);
        expect(text.indexOf(told)).toBeLessThan(text.indexOf('Every promise held'));
      }
      expect(text).toContain('1.0 % got no answer');
      expect(text).toMatch(/refused waited up to 4\.00 s, 1 in 100 more than 9\.60 s/);
    }
    expect(pageOf(crowded)).toContain('<title>Overloaded');
    expect(summaryOf(crowded, {})).toMatch(/turned away: overloaded +60,000 +60\.0 %/);
  });

  test('is graded by what the engine promises: who learns within a second is served swiftly', () => {
    const gradeOf = (record: SpikeRecord) => feltIn(record).grade;
    const refused = (refused: Record<string, number>) =>
      aRecord({ outcome: { ...outcome, refused } });
    expect(gradeOf(crowded)).toBe('overloaded');
    expect(gradeOf(refused({ sold_out: 9_000, overloaded: 10 }))).toBe('swift');
    expect(gradeOf(refused({ sold_out: 9_000, no_answer: 1_000 }))).toBe('overloaded');
    const late = aRecord({ outcome: { ...outcome, refused: {} } });
    expect(gradeOf({ ...late, latency: { ...latency, buy_refused: slow } })).toBe('slow');
  });

  test('counts every Buy once, tries again included', () => {
    const { buys, accepted, refused, turnedAway, unanswered } = feltIn(crowded);
    expect([accepted, refused, turnedAway, unanswered]).toEqual([4_000, 35_000, 60_000, 1_000]);
    expect(buys).toBe(100_000);
  });
});

describe('the record of a run', () => {
  test('comes back from its file as it went in', () => {
    const file = join(folder, 'run.json');
    for (const record of [aRecord(), invalidRecord(), brokenRecord()]) {
      writeRecord(record, file);
      expect(readRecord(file)).toEqual(record);
    }
    expectTypeOf<z.output<typeof recordSchema>>().toEqualTypeOf<SpikeRecord>();
  });

  test('is refused in one line that says why when it is missing, damaged or none of ours', () => {
    const file = join(folder, 'other.json');
    const refusal = (text: string) => {
      writeFileSync(file, text);
      try {
        readRecord(file);
      } catch (error) {
        if (error instanceof RecordFileError) return error.message;
      }
      throw new Error('was not refused');
    };
    expect(() => readRecord(join(folder, 'none.json'))).toThrow(
      /none\.json cannot be read: ENOENT/,
    );
    expect(refusal('{"a":')).toContain('it is not JSON');
    expect(refusal('{"figures":[]}')).toContain('no record of a spike: it names no format');
    expect(refusal('{"format":"other/2"}')).toContain('its format is "other/2"');
    expect(refusal('null')).toContain('it names no format');
    const damaged = { ...aRecord(), outcome: { ...aRecord().outcome, accepted: 'many' } };
    expect(refusal(JSON.stringify(damaged))).toContain('damaged: outcome.accepted');
    expect(refusal('{"format":"flashdrop-spike/1"}')).not.toContain('\n');
  });
});

describe('two runs beside each other', () => {
  function compared(a: SpikeRecord, b: SpikeRecord): string {
    const [fileA, fileB] = [join(folder, 'a.json'), join(folder, 'b.json')];
    writeRecord(a, fileA);
    writeRecord(b, fileB);
    return compare(fileA, fileB);
  }
  const { outcome } = aRecord();

  test('are told with the ratio of each main figure', () => {
    const { timeline } = aRecord();
    const twice = aRecord({
      timeline: timeline.map((moment) => ({ ...moment, accepted: 2 * moment.accepted })),
    });
    const text = compared(aRecord(), twice);
    expect(text).toContain('Same scenario, parameters, configuration and machine.');
    expect(text).toMatch(/peak accepted a second +1,784 +3,568 +2\.00/);
    expect(text).toMatch(/all units taken after +6\.82 s +6\.82 s +1\.00/);
    expect(text).not.toContain('WARNING');
  });

  test('say first what was not alike, and warn when that decides', () => {
    const { plan, machine } = aRecord();
    const seed = compared(aRecord(), aRecord({ plan: { ...plan, seed: 8 } }));
    expect(seed).toMatch(/Not run alike:[\s\S]*seed +20121221 +8[\s\S]*B ÷ A/);
    expect(seed).not.toContain('WARNING');
    const scale = compared(
      aRecord(),
      aRecord({ plan: { ...plan, scale: 1 }, machine: { ...machine, cores: 8 } }),
    );
    expect(scale).toContain('WARNING  Not comparable: scale, cores differ.');
  });

  test('warn of a run that is invalid or broke a promise', () => {
    const text = compared(invalidRecord(), brokenRecord());
    expect(text).toContain('WARNING  A is invalid: its figures are no result.');
    expect(text).toContain('WARNING  B broke a promise.');
  });

  test('leave a ratio out where there is none', () => {
    const unsold = aRecord({ outcome: { ...outcome, allAcceptedAtMs: undefined } });
    expect(compared(unsold, aRecord())).toMatch(/all units taken after +– +6\.82 s +–/);
  });
});

describe('the summary in the terminal', () => {
  test('tells what the run came to, the figures, the verdict and where the report is', () => {
    const text = summaryOf(aRecord(), { report: 'r.html', json: 'r.json' });
    expect(text).toMatch(/^OVERLOADED {2}84\.7 % of the Buys were served/m);
    expect(text).toMatch(
      /^PROMISES HELD {2}All 5,000 units were taken 6\.82 s after the opening\./m,
    );
    expect(text).toMatch(/Buy, accepted +5,000 +6\.1 ms +24 ms +71 ms/);
    expect(text).toMatch(/Units +50,000 +5,000/);
    expect(text).toMatch(/ok {3}A +promise 1 /);
    expect(text).toMatch(/report {2}r\.html\njson {4}r\.json\n$/);
  });

  test('of an invalid run gives no figures, and hides no breach', () => {
    const text = summaryOf({ ...invalidRecord(), verdict: brokenRecord().verdict }, {});
    expect(text).toMatch(/INVALID RUN {2}This run is not a result: .*2\.31 s late/);
    expect(text).not.toMatch(/p99\.9|peak/);
    expect(text).toContain('BREACH of promise 1 at (A), order ord_0_feed: a unit was sold twice');
  });

  test('says 99.96 % where a few of many are missing, never 100', () => {
    const { pacing } = aRecord();
    const text = summaryOf(aRecord({ pacing: { ...pacing, scheduled: 10_000, sent: 9_999 } }), {});
    expect(text).toContain('(99.99 %)');
  });
});

test('the file that is written is the page', async () => {
  const { writeReport } = await import('../../loadtest/report/html.ts');
  const file = join(folder, 'run.html');
  writeReport(aRecord(), file);
  expect(readFileSync(file, 'utf8')).toBe(pageOf(aRecord()));
});
