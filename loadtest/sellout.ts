import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { freePort } from '../src/embedded/free-port.ts';
import { auditSale } from './auditor/auditor.ts';
import type { BookHead } from './auditor/book.ts';
import { type Book, linesOf, runCrowd } from './crowd.ts';
import { type EngineProcess, startEngine } from './engine.ts';
import { type Merchant, openMerchant, unitAmount } from './merchant.ts';

const usage = `npm run sellout -- [--units N] [--buyers N] [--repeat RATE] [--pressing N] [--seed N] [--kill]
  Sells a drop out over HTTP to a crowd on an engine of its own and judges the sale from what the
  clients saw and from the audit. --kill ends the engine with SIGKILL in the middle and starts it
  again. Exit 1 names each breach.`;

const sku = 'phone';
const settleMsMax = 600_000;

process.exitCode = await main();

async function main(): Promise<number> {
  const options = readOptions();
  if (!options) {
    process.stderr.write(`${usage}\n`);
    return 2;
  }
  const { units, buyers, repeatRate, pressing, seed, kill } = options;
  const data = mkdtempSync(join(tmpdir(), 'flashdrop-sellout-'));
  const port = await freePort();
  let engine: EngineProcess = await startEngine({ data, port });
  let restarted: Promise<void> | undefined;
  try {
    const merchant = openMerchant(engine);
    const drop = await merchant.openDrop({ sku, units });
    const crowd = await merchant.gatherCrowd(buyers);
    const items = [{ sku, units, unitAmount, perBuyer: 1 }];
    const head = { drop, items, crowds: crowdsOf(crowd) };
    say(
      `${units} units, ${buyers} buyers, 1 in ${Math.round(1 / repeatRate)} repeats, seed ${seed}`,
    );
    const book: Book = new Map();
    const started = performance.now();
    await runCrowd({
      address: engine.address,
      drop,
      sku,
      buyers: crowd,
      repeatRate,
      pressing,
      book,
      random: seeded(seed),
      onAccepted(accepted) {
        if (!kill || accepted !== Math.floor(units / 2)) return;
        say(`SIGKILL after ${accepted} accepted`);
        restarted = engine.kill().then(async () => {
          engine = await startEngine({ data, port });
          say('the engine is back');
        });
      },
    });
    await restarted;
    const soldSeconds = (performance.now() - started) / 1000;
    say(`every buyer has an answer after ${soldSeconds.toFixed(1)} s`);
    await untilSettled(merchant, drop);
    say(`settled after ${((performance.now() - started) / 1000).toFixed(1)} s`);
    return await report(merchant, { head, book });
  } finally {
    await engine.stop();
    rmSync(data, { recursive: true, force: true });
  }
}

async function untilSettled(merchant: Merchant, drop: string): Promise<void> {
  const started = performance.now();
  while ((await merchant.unsettled(drop)) > 0) {
    if (performance.now() - started > settleMsMax) throw new Error('orders do not settle');
    await wait(250);
  }
}

async function report(
  merchant: Merchant,
  { head, book }: { head: BookHead; book: Book },
): Promise<number> {
  const verdict = await auditSale({ head, lines: linesOf(book), sources: merchant });
  const ends = verdict.points.find(({ point }) => point === 'B')?.figures ?? {};
  const { paid = 0, released = 0 } = ends;
  const figures = { ...told(book), paid, released };
  for (const [name, value] of Object.entries(figures)) say(`  ${name.padEnd(24)} ${value}`);
  for (const { ok, point, promise, title, figures } of verdict.points) {
    say(`${ok ? 'ok  ' : 'FAIL'} ${point.padEnd(5)} promise ${promise}: ${title}`);
    const parts = Object.entries(figures).map(([name, value]) => `${name} ${value}`);
    say(`           ${parts.join(', ')}`);
  }
  const { breaches } = verdict;
  for (const { point, promise, text } of breaches.slice(0, 20)) {
    say(`BREACH of promise ${promise} at ${point}: ${text}`);
  }
  say(verdict.clean ? 'no breach' : `${breaches.length} breaches`);
  return verdict.clean ? 0 : 1;
}

/** A buyer is named by a prefix and a number, from 0 within each prefix. */
function crowdsOf(buyers: { buyer: string }[]): BookHead['crowds'] {
  const counts = new Map<string, number>();
  for (const { buyer } of buyers) {
    const prefix = buyer.replace(/\d+$/, '');
    counts.set(prefix, (counts.get(prefix) ?? 0) + 1);
  }
  return [...counts].map(([prefix, count]) => ({ prefix, count }));
}

/** The answers of the crowd, counted. */
function told(book: Book): Record<string, number> {
  const attempts = [...book.values()];
  const figures: Record<string, number> = {
    buyers: book.size,
    requests: attempts.flat().length,
    accepted: attempts.filter((own) => own.some(({ status }) => status === 202)).length,
    replayed: attempts.flat().filter(({ replayed }) => replayed).length,
  };
  for (const own of attempts) {
    if (own.some(({ status }) => status === 202)) continue;
    const name = `told ${own.at(-1)?.code || 'nothing'}`;
    figures[name] = (figures[name] ?? 0) + 1;
  }
  return figures;
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** A small generator (mulberry32), so that a seed gives the same crowd again. */
function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        units: { type: 'string', default: '50000' },
        buyers: { type: 'string', default: '60000' },
        repeat: { type: 'string', default: '0.2' },
        pressing: { type: 'string', default: '256' },
        seed: { type: 'string', default: '1' },
        kill: { type: 'boolean', default: false },
      },
    });
    const [units, buyers, pressing, seed] = [
      values.units,
      values.buyers,
      values.pressing,
      values.seed,
    ].map(Number) as [number, number, number, number];
    const repeatRate = Number(values.repeat);
    const whole = [units, buyers, pressing, seed].every((n) => Number.isInteger(n) && n >= 1);
    if (!whole || units > 1_000_000 || buyers > 1_000_000 || pressing > 2_000) return undefined;
    if (!(repeatRate >= 0 && repeatRate <= 1)) return undefined;
    return { units, buyers, pressing, seed, repeatRate, kill: values.kill };
  } catch {
    return undefined;
  }
}
