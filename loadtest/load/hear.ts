import { openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { threadId } from 'node:worker_threads';
import type { Heard, LoadContext } from './context.ts';

let book: number | undefined;

/** Called by autocannon with each answer. It is written at once: a stopped worker has no last word. */
function hear(status: number, body: string, { buyer = '', folder }: LoadContext): void {
  book ??= openSync(join(folder, `heard-${threadId}.ndjson`), 'a');
  const { id, code = '' } = read(body);
  const heard: Heard = { buyer, status, code, ...(status === 202 && id ? { order: id } : {}) };
  writeSync(book, `${JSON.stringify(heard)}\n`);
}

/** A proxy in front of the engine may answer something else than JSON. */
function read(body: string): { id?: string; code?: string } {
  try {
    return JSON.parse(body) as { id?: string; code?: string };
  } catch {
    return {};
  }
}

export { hear as 'module.exports' };
