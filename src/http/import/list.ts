import type { ListPart } from '../../drops/appointments.ts';
import { callBuyersMax } from '../../inventory/lanes.ts';
import { invalid } from '../problems/problems.ts';
import type { LineReader } from './buyers.ts';
import { lineLengthMax, readLines } from './lines.ts';

export type BadLine = { line: number; reason: string };

const badLinesMax = 100;
const tooLong = { reason: `is longer than ${lineLengthMax} characters` };

/**
 * A list of buyers, read while it arrives, in parts of as many buyers as one call to a lane takes.
 * `badLines` holds the first hundred bad lines that have been read.
 */
export function openList(chunks: AsyncIterable<Buffer>, reader: LineReader) {
  const badLines: BadLine[] = [];
  let buyers: string[] = [];
  let lines = 0;
  let bad = 0;
  let isBegun = false;
  let isJudged = false;

  function take(text: string | undefined): void {
    lines += 1;
    if (!isBegun) {
      // What the columns are is known from the first line alone.
      if (text === undefined) throw invalid('body', `has a first line that ${tooLong.reason}`);
      if (text.includes('\0')) throw invalid('body', 'is UTF-16 without a mark: send it as UTF-8');
      isBegun = text.trim() !== '';
    }
    const result = text === undefined ? tooLong : reader.read(text);
    if (result === undefined) return;
    if (typeof result === 'string') {
      buyers.push(result);
      return;
    }
    bad += 1;
    if (badLines.length < badLinesMax) badLines.push({ line: lines, reason: result.reason });
  }

  /** The buyers since the part before, with the counts of all lines so far. */
  function nextPart(): ListPart {
    if (!isJudged) reader.judge(buyers);
    isJudged = true;
    const part = { buyers, lines, bad };
    buyers = [];
    return part;
  }

  async function* parts(): AsyncGenerator<ListPart> {
    for await (const texts of readLines(chunks)) {
      for (const text of texts) {
        take(text);
        if (buyers.length === callBuyersMax) yield nextPart();
      }
    }
    yield nextPart();
  }

  return { parts, badLines };
}
