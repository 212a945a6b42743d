/** The longest line of a list, in bytes: an object with the longest name, each letter escaped. */
export const lineBytesMax = 1_024;

const byteOrderMark = '\u00ef\u00bb\u00bf';

/**
 * The lines of a body as it arrives, chunk by chunk, undefined where one is longer than lineBytesMax.
 * A byte is a letter: names are ASCII, so that what is more than that is wrong in any reading.
 */
export async function* readLines(
  chunks: AsyncIterable<Buffer>,
): AsyncGenerator<(string | undefined)[]> {
  let rest = '';
  let tooLong = false;
  let begun = false;

  function finish(line: string): string | undefined {
    const long = tooLong || line.length > lineBytesMax;
    tooLong = false;
    const bare = begun || !line.startsWith(byteOrderMark) ? line : line.slice(3);
    begun = true;
    if (long) return undefined;
    return bare.endsWith('\r') ? bare.slice(0, -1) : bare;
  }

  for await (const chunk of chunks) {
    const lines = (rest + chunk.toString('latin1')).split('\n');
    rest = lines.pop() as string;
    if (lines.length > 0) yield lines.map(finish);
    if (rest.length > lineBytesMax) {
      // Its letters are of no use; that it is too long is all there is to remember.
      tooLong = true;
      rest = '';
    }
  }
  if (rest !== '' || tooLong) yield [finish(rest)];
}
