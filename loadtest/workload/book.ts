import { createWriteStream } from 'node:fs';
import { finished } from 'node:stream/promises';
import type { BookLine } from '../auditor/book.ts';

/** Writes the clients' book of one load process, a JSON document in each line. */
export function openBook(file: string) {
  const stream = createWriteStream(file);
  return {
    write(line: BookLine): void {
      stream.write(`${JSON.stringify(line)}\n`);
    },
    async close(): Promise<void> {
      stream.end();
      await finished(stream);
    },
  };
}
