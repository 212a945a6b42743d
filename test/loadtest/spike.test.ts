import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { request } from 'undici';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openMerchant } from '../../loadtest/merchant.ts';
import { readRecord } from '../../loadtest/report/record-file.ts';
import { startEngineProcess } from '../support/engine-process.ts';
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

test('a rehearsal sells a copy of a drop, all its items at once, and nothing of the drop itself', async () => {
  const data = join(folder, 'data');
  const engine = await startEngineProcess({ data });
  try {
    const { address, merchantKey = '' } = engine;
    const merchant = openMerchant({ address, merchantKey });
    const now = Date.now();
    const iso = (ms: number) => new Date(ms).toISOString();
    const item = { unitAmount: 9_900, allotment: 10, perBuyer: 1 };
    const created = await request(`${address}/v1/drops`, {
      method: 'POST',
      headers: { authorization: `Bearer ${merchantKey}`, 'content-type': 'application/json' },
      body: JSON.stringify({
        title: 'Sneakers',
        currency: 'EUR',
        startsAt: iso(now + 7_200_000),
        endsAt: iso(now + 10_800_000),
        appointment: {},
        items: [
          { ...item, sku: 'size-42', title: 'Sneaker, size 42' },
          { ...item, sku: 'size-43', title: 'Sneaker, size 43' },
        ],
      }),
    });
    const text = await created.body.text();
    expect(created.statusCode, text).toBe(201);
    const { id: drop } = JSON.parse(text) as { id: string };
    const json = join(folder, 'rehearsal.json');
    const { ended, text: said } = run(
      ...['--url', address, '--merchant-key', merchantKey, '--drop', drop],
      ...['--set', 'people=60', '--set', 'looks=1', '--set', 'leadMs=500', '--set', 'feedMs=1500'],
      ...['--set', 'crowdMs=3000', '--set', 'bots=0', '--set', 'uninvited=0', '--json', json],
    );
    expect(await ended, said()).toBe(0);
    const { sale, verdict, scenario } = readRecord(json);
    expect(sale).toMatchObject({ units: 20, appointments: 520 });
    expect(scenario).toMatchObject({ title: `Rehearsal of ${drop}`, real: undefined });
    expect(verdict.points.find(({ point }) => point === 'A')?.figures).toMatchObject({
      units: 20,
      sold: 20,
      paid: 20,
    });
    const items = new Set<string>();
    for await (const { sku } of merchant.orders(sale.drop)) items.add(sku);
    expect([...items].sort()).toEqual(['size-42', 'size-43']);
    expect(sale.drop).not.toBe(drop);
    for await (const order of merchant.orders(drop)) expect(order).toBeUndefined();
  } finally {
    await engine.kill('SIGTERM');
  }
});

test('the opening is set when the appointments are imported: an import moves it, however long it takes', async () => {
  const json = join(folder, 'slow.json');
  // No lead time at all: an import that had to end before a fixed opening would come too late.
  const { ended, text } = run(
    ...[
      ...small,
      '--set',
      'leadMs=0',
      '--set',
      'looks=0',
      '--set',
      'appointments=40000',
      '--set',
      'bots=0',
    ],
    ...['--set', 'crowdMs=2000', '--json', json],
  );
  expect(await ended, text()).toBe(0);
  const { sale, outcome } = readRecord(json);
  expect(sale.appointments).toBe(40_000);
  // Nobody came before the drop was open, or after a time that an import had used up.
  expect(outcome.refused['drop_not_open'] ?? 0).toBe(0);
  expect(outcome.accepted).toBeGreaterThanOrEqual(20);
});
