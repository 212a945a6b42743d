/** The longest line of a list, in characters. */
export const lineLengthMax = 8_192;

const utf8Mark = '\u00ef\u00bb\u00bf';

/**
 * The text of a body as it arrives. Each byte is read as one character: names are ASCII, so other bytes are
 * wrong in any encoding. With a byte order mark that says so, the body is UTF-16.
 */
async function* readTexts(chunks: AsyncIterable<Buffer>): AsyncGenerator<string> {
  let head: Buffer | undefined = Buffer.alloc(0);
  let decoder: InstanceType<typeof TextDecoder> | undefined;
  for await (const chunk of chunks) {
    const bytes: Buffer = head ? Buffer.concat([head, chunk]) : chunk;
    if (head && bytes.length < 2) {
      head = bytes;
      continue;
    }
    if (head) decoder = utf16Decoder(bytes);
    head = undefined;
    yield decoder ? decoder.decode(bytes, { stream: true }) : bytes.toString('latin1');
  }
  yield head?.toString('latin1') ?? decoder?.decode() ?? '';
}

function utf16Decoder(bytes: Buffer): InstanceType<typeof TextDecoder> | undefined {
  const mark = bytes.readUInt16BE(0);
  if (mark === 0xfffe) return new TextDecoder('utf-16le');
  return mark === 0xfeff ? new TextDecoder('utf-16be') : undefined;
}

/**
 * Splits a body into lines as it arrives, chunk by chunk; a line longer than lineLengthMax is undefined.
 */
export async function* readLines(
  chunks: AsyncIterable<Buffer>,
): AsyncGenerator<(string | undefined)[]> {
  let rest = '';
  let isTooLong = false;
  let isFirst = true;

  function finish(line: string): string | undefined {
    const text = isFirst && line.startsWith(utf8Mark) ? line.slice(utf8Mark.length) : line;
    const isRefused = isTooLong || line.length > lineLengthMax;
    isFirst = false;
    isTooLong = false;
    if (isRefused) return undefined;
    return text.endsWith('\r') ? text.slice(0, -1) : text;
  }

  for await (const part of readTexts(chunks)) {
    const lines = (rest + part).split('\n');
    rest = lines.pop() ?? '';
    if (lines.length > 0) yield lines.map(finish);
    if (rest.length > lineLengthMax) {
      // The text of a line that is too long is not needed, only the fact.
      isTooLong = true;
      rest = '';
    }
  }
  if (rest !== '' || isTooLong) yield [finish(rest)];
}
