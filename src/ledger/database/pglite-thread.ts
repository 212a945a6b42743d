import { parentPort, workerData } from 'node:worker_threads';
import { PGlite, types } from '@electric-sql/pglite';
import { connectionSettings, parseBigint, type Row } from './database.ts';

// The thread that runs PGlite. A statement blocks its thread until it ends, so it must not run on the
// thread that serves requests.

export type Ask = { id: number; sql: string; params: unknown[] };
export type Answer = { id: number } & ({ rows: Row[] } | { error: Record<string, unknown> });

/** Fields of PGlite's errors that must not reach a log: the statement and its parameters. */
const secretFields = ['query', 'params'];

const port = parentPort;
if (!port) throw new Error('bug: this file is a thread of the ledger');
const { folder }: { folder: string | undefined } = workerData;
/**
 * PGlite touches all of its buffers when it opens; its own setting is 128 MB, on top of Node's memory.
 */
const buffers = ['-c', 'shared_buffers=32MB'];
const lite = await PGlite.create({
  ...(folder === undefined ? {} : { dataDir: folder }),
  parsers: { [types.INT8]: parseBigint },
  startParams: [...PGlite.defaultStartParams, ...buffers],
});
for (const [name, value] of Object.entries(connectionSettings)) {
  await lite.exec(`set ${name} = '${value}'`);
}
port.on('message', async ({ id, sql, params }: Ask) => {
  port.postMessage(await answer(id, () => run(sql, params)));
});
// The answer with the id 0 says that PGlite is open.
port.postMessage({ id: 0, rows: [] } satisfies Answer);

async function run(sql: string, params: unknown[]): Promise<Row[]> {
  if (sql === 'close') {
    await lite.close();
    return [];
  }
  if (params.length > 0) return (await lite.query<Row>(sql, params)).rows;
  // Without parameters a text may hold several statements, as with pg: the last one's rows count.
  return (await lite.exec(sql)).at(-1)?.rows ?? [];
}

async function answer(id: number, work: () => Promise<Row[]>): Promise<Answer> {
  try {
    return { id, rows: await work() };
  } catch (error) {
    const { message, stack, ...fields } = error instanceof Error ? error : new Error(String(error));
    const kept = Object.entries(fields).filter(([name, value]) => {
      return !secretFields.includes(name) && ['string', 'number'].includes(typeof value);
    });
    return { id, error: { ...Object.fromEntries(kept), message, stack } };
  }
}
