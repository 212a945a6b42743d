/** The longest line of a list, in bytes: an object with the longest name, each character escaped. */
export const lineBytesMax = 1_024;

const byteOrderMark = '\u00ef\u00bb\u00bf';

/**
 * Splits a body into lines as it arrives, chunk by chunk; a line longer than lineBytesMax is undefined.
 * Each byte is read as one character: names are ASCII, so other bytes are wrong in any encoding.
 */
export async function* readLines(
  chunks: AsyncIterable<Buffer>,
): AsyncGenerator<(string | undefined)[]> {
  let rest = '';
  let isTooLong = false;
  let isFirst = true;

  function finish(line: string): string | undefined {
    const text =
      isFirst && line.startsWith(byteOrderMark) ? line.slice(byteOrderMark.length) : line;
    const isRefused = isTooLong || line.length > lineBytesMax;
    isFirst = false;
    isTooLong = false;
    if (isRefused) return undefined;
    return text.endsWith('\r') ? text.slice(0, -1) : text;
  }

  for await (const chunk of chunks) {
    const lines = (rest + chunk.toString('latin1')).split('\n');
    rest = lines.pop() ?? '';
    if (lines.length > 0) yield lines.map(finish);
    if (rest.length > lineBytesMax) {
      // The text of a line that is too long is not needed, only the fact.
      isTooLong = true;
      rest = '';
    }
  }
  if (rest !== '' || isTooLong) yield [finish(rest)];
}
