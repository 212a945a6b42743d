import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import autocannon from 'autocannon';
import { request } from 'undici';
import { freePort } from '../src/embedded/free-port.ts';
import { type EngineProcess, startEngine } from './engine.ts';
import { openMerchant } from './merchant.ts';

const usage = `npm run strangers -- [--seconds N] [--rate N] [--rounds N] [--clients N]
  Settled orders beside a flood of strangers ÷ settled orders without one, on an engine of its own.
  Buyers press at a fixed rate, in rounds with and without the flood in turn; the median of the rounds'
  ratios counts. A row for each thing that a stranger may ask. Exit 1 when /metrics is below 0.95.`;

const sku = 'phone';
const leastRatio = 0.95;
const retryMsMax = 5_000;
const lookUpMsMax = 1_000;

type Options = { seconds: number; rate: number; rounds: number; clients: number };
type Flood = { title: string; path(): string; headers?(): Record<string, string> };

const letters = 'abcdefghjkmnpqrstvwxyz0123456789';
const code = (length: number) =>
  Array.from({ length }, () => letters[Math.floor(Math.random() * letters.length)]).join('');

/** What a stranger may ask, and once cost the process that settles. */
const floods: Flood[] = [
  { title: '/metrics', path: () => '/metrics' },
  { title: '/readyz', path: () => '/readyz' },
  { title: '/openapi.json', path: () => '/openapi.json' },
  { title: 'made-up drops', path: () => `/v1/drops/drop_${code(12)}` },
  { title: 'made-up stores', path: () => `/v1/stores/mer_${code(12)}/drops` },
  {
    title: 'made-up API keys',
    path: () => '/v1/drops',
    headers: () => ({ authorization: `Bearer fdk_${code(12)}_${code(43)}` }),
  },
];

process.exitCode = await main();

async function main(): Promise<number> {
  const options = readOptions();
  if (!options) {
    process.stderr.write(`${usage}\n`);
    return 2;
  }
  const data = mkdtempSync(join(tmpdir(), 'flashdrop-strangers-'));
  const engine = await startEngine({ data, port: await freePort() });
  try {
    const { clients, rate, rounds, seconds } = options;
    say(`${clients} strangers, ${rate} Buys a second, ${rounds} rounds of ${seconds} s each`);
    const press = await openPresses(engine, options);
    await press(); // The first Buys wait for code to be compiled, with or without strangers.
    let ratioOfMetrics = 0;
    for (const flood of floods) {
      const ratios: number[] = [];
      let asked = 0;
      for (let round = 0; round < rounds; round += 1) {
        const quiet = await press();
        const stop = startFlood(engine.address, flood, clients);
        const flooded = await press();
        asked += await stop();
        ratios.push(flooded / quiet);
      }
      const ratio = median(ratios);
      if (flood.title === '/metrics') ratioOfMetrics = ratio;
      const each = ratios.map((one) => one.toFixed(2)).join(' ');
      say(`${flood.title.padEnd(18)} ${ratio.toFixed(2)}  (${each}; ${asked} requests)`);
    }
    return ratioOfMetrics >= leastRatio ? 0 : 1;
  } finally {
    await engine.stop();
    rmSync(data, { recursive: true, force: true });
  }
}

/** A round of Buys: resolves with how many of them are settled when its time is over. */
async function openPresses(engine: EngineProcess, { rate, rounds, seconds }: Options) {
  const perRound = rate * seconds;
  const merchant = openMerchant(engine);
  const units = perRound * (1 + 2 * rounds * floods.length);
  const drop = await merchant.openDrop({ sku, units });
  const crowd = await merchant.gatherCrowd(units);

  const settled = async () => {
    return (await merchant.report(drop)).items.reduce((sum, { sold }) => sum + sold, 0);
  };

  return async function press(): Promise<number> {
    const before = await settled();
    const buyers = crowd.splice(0, perRound);
    const startedAt = performance.now();
    await Promise.all(
      buyers.map(async (buyer, n) => {
        await wait((n * 1_000) / rate);
        await buy(engine.address, drop, buyer);
      }),
    );
    await wait(Math.max(0, startedAt + seconds * 1_000 + 500 - performance.now()));
    const inTime = (await settled()) - before;
    while ((await merchant.unsettled(drop)) > 0) await wait(100);
    return inTime;
  };
}

/** Presses Buy, and again after the time that a refusal names. */
async function buy(
  address: string,
  drop: string,
  { buyer, token }: { buyer: string; token: string },
) {
  for (let tries = 0; tries < 5; tries += 1) {
    const { statusCode, headers, body } = await request(`${address}/v1/drops/${drop}/orders`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${token}`,
        'content-type': 'application/json',
        'idempotency-key': buyer,
      },
      body: JSON.stringify({ sku, quantity: 1, payment: { method: 'wallet' } }),
    });
    await body.dump();
    if (statusCode === 202) return;
    await wait(Math.min(retryMsMax, 1_000 * Number(headers['retry-after'] ?? 1)));
  }
}

/** Clients that ask as fast as they are answered; the function returned ends them and counts. */
function startFlood(address: string, flood: Flood, clients: number): () => Promise<number> {
  const ended = Promise.withResolvers<number>();
  const running = autocannon(
    {
      url: address,
      connections: clients,
      duration: 600,
      requests: [
        {
          setupRequest: (wanted) => ({
            ...wanted,
            path: flood.path(),
            headers: { ...wanted.headers, ...flood.headers?.() },
          }),
        },
      ],
    },
    (error, result) => {
      if (error) ended.reject(error);
      else ended.resolve(result.requests.total);
    },
  );
  return async () => {
    running.stop();
    const asked = await ended.promise;
    // Look-ups of clients that have left are under way: a stop would refuse them with lines in the log.
    await wait(lookUpMsMax);
    return asked;
  };
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1
    ? (sorted[middle] ?? 0)
    : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
}

function readOptions(): Options | undefined {
  try {
    const { values } = parseArgs({
      options: {
        seconds: { type: 'string', default: '4' },
        rate: { type: 'string', default: '50' },
        rounds: { type: 'string', default: '3' },
        clients: { type: 'string', default: '32' },
      },
    });
    const options = {
      seconds: Number(values.seconds),
      rate: Number(values.rate),
      rounds: Number(values.rounds),
      clients: Number(values.clients),
    };
    const whole = Object.values(options).every((n) => Number.isInteger(n) && n >= 1 && n <= 1_000);
    return whole ? options : undefined;
  } catch {
    return undefined;
  }
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
