import type { ListPart } from '../../drops/appointments.ts';
import { callBuyersMax } from '../../inventory/lanes.ts';
import type { LineReader } from './buyers.ts';
import { lineBytesMax, readLines } from './lines.ts';

export type BadLine = { line: number; reason: string };

const badLinesMax = 100;
const tooLong = { reason: `is longer than ${lineBytesMax} bytes` };

/**
 * A list of buyers, read while it arrives, in parts of as many buyers as one call to a lane takes.
 * `badLines` holds the first hundred bad lines that have been read.
 */
export function openList(chunks: AsyncIterable<Buffer>, readLine: LineReader) {
  const badLines: BadLine[] = [];

  async function* parts(): AsyncGenerator<ListPart> {
    let buyers: string[] = [];
    let lines = 0;
    let bad = 0;
    for await (const texts of readLines(chunks)) {
      for (const text of texts) {
        lines += 1;
        const read = text === undefined ? tooLong : readLine(text, lines);
        if (typeof read === 'string') {
          buyers.push(read);
        } else if (read) {
          bad += 1;
          if (badLines.length < badLinesMax) badLines.push({ line: lines, reason: read.reason });
        }
        if (buyers.length === callBuyersMax) {
          yield { buyers, lines, bad };
          buyers = [];
        }
      }
    }
    yield { buyers, lines, bad };
  }

  return { parts, badLines };
}
