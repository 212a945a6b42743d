import { setPriority } from 'node:os';
import { setTimeout as wait } from 'node:timers/promises';
import { request } from 'undici';
import { openBook } from './book.ts';
import { openCounters, type Step } from './counters.ts';
import { pace } from './pacer.ts';
import type { Parameters } from './parameters.ts';
import { type Buyer, type Goods, openPeople } from './people.ts';
import { drawRestarts, drawSchedule, type Group } from './schedule.ts';
import { openWire } from './wire.ts';

// One process of the crowd: it gets its buyers' tokens, waits for the start signal, and follows its
// schedule. It reports every step to its parent; its book goes to a file.

export type Order =
  | {
      kind: 'gather';
      address: string;
      currency: string;
      seed: number;
      parameters: Parameters;
      groups: Group[];
      book: string;
      stepMs: number;
    }
  /** When the drop opens, on this machine's clock (ms since the epoch). */
  | { kind: 'go'; opensAt: number; goods: Goods };

export type Word =
  | { kind: 'ready'; scheduled: number }
  | { kind: 'steps'; steps: Step[]; open: number }
  | { kind: 'done' }
  | { kind: 'failed'; reason: string };

const tellMs = 500;
const groupsAtOnce = 4;
/** How long the crowd may finish what it began, in ms. */
const tailMsMax = 15_000;
const priority = -10;

const tell = (word: Word) => process.send?.(word);
let go: ((order: Extract<Order, { kind: 'go' }>) => void) | undefined;

process.on('message', (order: Order) => {
  if (order.kind === 'go') go?.(order);
  else run(order).catch((error: Error) => tell({ kind: 'failed', reason: error.message }));
});
process.on('disconnect', () => process.exit());
// Ctrl-C goes to the terminal's whole process group; the parent handles it and ends this process.
process.on('SIGINT', () => {});

async function run(plan: Extract<Order, { kind: 'gather' }>): Promise<void> {
  const { address, currency, parameters, groups, seed, stepMs } = plan;
  const buyers = await gather(address, { groups, currency });
  const schedule = drawSchedule(seed, parameters, groups);
  const opening = Promise.withResolvers<Extract<Order, { kind: 'go' }>>();
  go = opening.resolve;
  tell({ kind: 'ready', scheduled: schedule.times.length });
  const { opensAt, goods } = await opening.promise;
  try {
    // A saturated engine must not take the time that the schedule needs.
    setPriority(priority);
  } catch {
    // Only root may raise the priority; the pacing figures show whether it mattered.
  }

  const offset = Date.now() - performance.now();
  const now = () => performance.now() + offset - opensAt;
  const counters = openCounters({ stepMs, now });
  const book = openBook(plan.book);
  const { hostname, port, host } = new URL(address);
  const wire = openWire({
    // URL.hostname keeps the brackets of IPv6, and URL.port is empty for the default port.
    host: hostname.replace(/^\[|\]$/g, ''),
    port: Number(port || 80),
    connectionsMax: parameters.connections,
    timeoutMs: parameters.patienceMs,
  });
  const endsAtMs = Math.max(parameters.crowdMs, schedule.times.at(-1) ?? 0) + tailMsMax;
  const people = openPeople({
    wire,
    host,
    goods,
    seed,
    parameters,
    counters,
    now,
    endsAtMs,
    write: book.write,
    buyerOf: (index) => buyers.get(index) as Buyer,
    stream: (order, token) => follow(address, order, token),
  });
  const telling = setInterval(() => {
    tell({ kind: 'steps', steps: counters.take(), open: people.open() });
  }, tellMs);
  const breaking = drawRestarts(parameters).map((atMs) => setTimeout(wire.breakOff, atMs - now()));
  await pace({
    times: schedule.times,
    now,
    fire(index, dueMs) {
      counters.scheduled(dueMs);
      people.act(schedule.acts[index] as number, schedule.buyers[index] as number, dueMs);
    },
  });
  while (people.open() > 0 && now() < endsAtMs) await wait(50);
  people.stop();
  breaking.forEach(clearTimeout);
  clearInterval(telling);
  wire.close();
  await book.close();
  tell({ kind: 'steps', steps: counters.take(true), open: 0 });
  tell({ kind: 'done' });
}

/** The tokens of this process' buyers, and money for those who are to have some. */
async function gather(
  address: string,
  { groups, currency }: { groups: Group[]; currency: string },
): Promise<Map<number, Buyer>> {
  const buyers = new Map<number, Buyer>();
  const todo = [...groups];
  async function take(): Promise<void> {
    for (let group = todo.pop(); group; group = todo.pop()) {
      const { prefix, count, first, kind } = group;
      const { statusCode, body } = await request(`${address}/demo/crowds`, {
        method: 'POST',
        headersTimeout: 120_000,
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({
          prefix,
          count,
          currency,
          ...(kind === 'short' ? { amount: 0 } : {}),
        }),
      });
      const text = await body.text();
      if (statusCode !== 201) throw new Error(`the engine mints no tokens: ${statusCode} ${text}`);
      const { tokens } = JSON.parse(text) as { tokens: { sub: string; token: string }[] };
      for (const [n, { sub, token }] of tokens.entries()) {
        buyers.set(first + n, { name: sub, token, isBot: kind === 'bots' });
      }
    }
  }
  await Promise.all(Array.from({ length: groupsAtOnce }, take));
  return buyers;
}

/** Reads an order's stream to its end; resolves with the last state. */
async function follow(address: string, order: string, token: string): Promise<string | undefined> {
  try {
    const { body } = await request(`${address}/v1/orders/${order}/stream`, {
      headers: { authorization: `Bearer ${token}` },
      bodyTimeout: tailMsMax,
    });
    const text = await body.text();
    return [...text.matchAll(/"state":"(\w+)"/g)].at(-1)?.[1];
  } catch {
    return undefined;
  }
}
