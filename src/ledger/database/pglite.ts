import { accessSync, constants, mkdirSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { type Database, LedgerError, type Query } from './database.ts';
import { seedPglite } from './pglite-template.ts';
import type { Answer, Ask } from './pglite-thread.ts';

/**
 * Opens the embedded ledger: a real PostgreSQL in a thread of this process, stored in `folder`, or in
 * memory when none is given. It has one connection, so statements and transactions run one after the
 * other. The caller makes sure that no other process has the folder open: PGlite does not check.
 * @throws LedgerError when the folder cannot be written or does not hold a sound ledger
 */
export async function openPglite(options: { folder?: string } = {}): Promise<Database> {
  const { folder } = options;
  if (folder !== undefined) assertWritable(folder);
  let thread: Thread;
  try {
    if (folder !== undefined) {
      await seedPglite(folder, { make: async (fresh) => (await startThread(fresh)).close() });
    }
    thread = await startThread(folder);
  } catch (cause) {
    throw new LedgerError(
      `the ledger in ${folder ?? 'memory'} does not open: restore a copy of that folder, or move it away to begin anew`,
      { cause },
    );
  }
  const inTurn = openSerialQueue();
  return {
    kind: 'pglite',
    query: (sql, params) => inTurn(() => thread.ask(sql, params)),
    transaction: (work) =>
      inTurn(async () => {
        await thread.ask('begin');
        try {
          const result = await work(thread.ask);
          await thread.ask('commit');
          return result;
        } catch (error) {
          await thread.ask('rollback');
          throw error;
        }
      }),
    close: () => inTurn(thread.close),
  };
}

type Thread = { ask: Query; close(): Promise<void> };

async function startThread(folder: string | undefined): Promise<Thread> {
  const worker = new Worker(new URL('./pglite-thread.ts', import.meta.url), {
    workerData: { folder },
  });
  const waiting = new Map<number, PromiseWithResolvers<unknown[]>>();
  const ready = Promise.withResolvers<unknown[]>();
  waiting.set(0, ready);
  let asked = 0;
  let ended: Error | undefined;

  worker.on('message', (answer: Answer) => {
    const waiter = waiting.get(answer.id);
    waiting.delete(answer.id);
    if (waiting.size === 0) worker.unref();
    if ('rows' in answer) waiter?.resolve(answer.rows);
    else waiter?.reject(Object.assign(new Error(), answer.error));
  });
  worker.on('error', end);
  worker.on('exit', () => end(new Error('the thread of the embedded ledger has ended')));
  await ready.promise;

  function end(error: Error): void {
    ended ??= error;
    for (const waiter of waiting.values()) waiter.reject(ended);
    waiting.clear();
  }

  /** The thread keeps the process alive only while an answer is awaited. */
  const ask = <T>(sql: string, params: unknown[] = []): Promise<T[]> => {
    if (ended) return Promise.reject(ended);
    const waiter = Promise.withResolvers<unknown[]>();
    asked += 1;
    waiting.set(asked, waiter);
    worker.ref();
    worker.postMessage({ id: asked, sql, params } satisfies Ask);
    return waiter.promise as Promise<T[]>;
  };

  return {
    ask,
    async close() {
      await ask('close');
      await worker.terminate();
    },
  };
}

/** Runs one piece of work at a time, in the order of arrival. */
function openSerialQueue(): <T>(work: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const turn = last.then(work, work);
    last = turn;
    return turn;
  };
}

function assertWritable(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true });
    accessSync(folder, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (cause) {
    throw new LedgerError(
      `the ledger's folder ${folder} cannot be written: choose another one or correct its permissions`,
      { cause },
    );
  }
}
