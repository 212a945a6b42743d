import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import autocannon from 'autocannon';
import { bookName, type Heard, type LoadContext } from './context.ts';
import type { Target } from './target.ts';

const moduleAt = (name: string) => fileURLToPath(new URL(name, import.meta.url));
/** A worker looks at its end once a second. */
const lastWordMs = 1_500;

export type Fired = {
  /** autocannon's own table; undefined when the load was stopped, as its workers then give none. */
  table: string | undefined;
  heard: Heard[];
  /** Buyers whose Buy was sent and not answered: a unit may be theirs. */
  unanswered: string[];
};

/** Sends a Buy for each buyer until the time is over, all have pressed, or `stop` is aborted. */
export async function fire(load: {
  target: Target;
  connections: number;
  workers: number;
  seconds: number;
  /** A file of tokens, and the names in its order. */
  tokens: string;
  buyers: readonly string[];
  folder: string;
  stop: AbortSignal;
}): Promise<Fired> {
  const { target, connections, workers, seconds, tokens, buyers, folder, stop } = load;
  const { address, drop, sku, method } = target;
  const next = new SharedArrayBuffer(4);
  const context: LoadContext = { tokens, folder, next };
  const ended = Promise.withResolvers<autocannon.Result>();
  const options: autocannon.Options = {
    url: address,
    connections,
    workers,
    duration: seconds,
    // For each worker. One more would be a Buy without a buyer.
    maxOverallRequests: Math.floor(buyers.length / workers),
    initialContext: context,
    requests: [
      {
        method: 'POST',
        path: `/v1/drops/${drop}/orders`,
        body: JSON.stringify({ sku, quantity: 1, payment: { method } }),
        // Paths, which the types do not know: functions cannot be sent to a worker.
        setupRequest: moduleAt('./next-buy.ts') as never,
        onResponse: moduleAt('./hear.ts') as never,
      },
    ],
  };
  const running = autocannon(options, (error: Error | undefined, result) => {
    if (error) ended.reject(error);
    else ended.resolve(result);
  });
  const stopped = stop.aborted ? Promise.resolve() : once(stop, 'abort');
  const result = await Promise.race([ended.promise, stopped.then(() => undefined)]);
  if (!result) {
    running.stop();
    await wait(lastWordMs);
  }
  const heard = readBooks(folder);
  const answered = new Set(heard.map(({ buyer }) => buyer));
  const sent = buyers.slice(0, Atomics.load(new Int32Array(next), 0));
  return {
    table: result && autocannon.printResult(result),
    heard,
    unanswered: sent.filter((buyer) => !answered.has(buyer)),
  };
}

function readBooks(folder: string): Heard[] {
  return readdirSync(folder)
    .filter((name) => bookName.test(name))
    .flatMap((name) => readFileSync(join(folder, name), 'utf8').split('\n'))
    .flatMap((line) => (line === '' ? [] : [JSON.parse(line) as Heard]));
}
