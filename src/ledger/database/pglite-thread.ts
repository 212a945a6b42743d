import { parentPort, workerData } from 'node:worker_threads';
import { PGlite, types } from '@electric-sql/pglite';
import { connectionSettings, parseBigint, type Row } from './database.ts';

// The thread that PGlite runs in. A statement keeps its thread busy from start to end; here it
// holds up no buyer.

export type Ask = { id: number; sql: string; params: unknown[] };
export type Answer = { id: number } & ({ rows: Row[] } | { error: Record<string, unknown> });

/** PGlite's errors also carry the whole statement and its parameters, which belong in no log. */
const untold = ['query', 'params'];

const port = parentPort;
if (!port) throw new Error('bug: this file is a thread of the ledger');
const { folder } = workerData as { folder: string | undefined };
const lite = await PGlite.create({
  ...(folder === undefined ? {} : { dataDir: folder }),
  parsers: { [types.INT8]: parseBigint },
});
for (const [name, value] of Object.entries(connectionSettings)) {
  await lite.exec(`set ${name} = '${value}'`);
}
port.on('message', async ({ id, sql, params }: Ask) => {
  port.postMessage(await answer(id, () => run(sql, params)));
});
// The answer to no question: PGlite is open.
port.postMessage({ id: 0, rows: [] } satisfies Answer);

async function run(sql: string, params: unknown[]): Promise<Row[]> {
  if (sql === 'close') {
    await lite.close();
    return [];
  }
  if (params.length > 0) return (await lite.query<Row>(sql, params)).rows;
  return ((await lite.exec(sql)).at(-1)?.rows ?? []) as Row[]; // several statements, as pg allows
}

async function answer(id: number, work: () => Promise<Row[]>): Promise<Answer> {
  try {
    return { id, rows: await work() };
  } catch (error) {
    const { message, stack, ...fields } = error as Error;
    const told = Object.entries(fields).filter(([name, value]) => {
      return !untold.includes(name) && ['string', 'number'].includes(typeof value);
    });
    return { id, error: { ...Object.fromEntries(told), message, stack } };
  }
}
