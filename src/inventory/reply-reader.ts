/** A script's reply, read by position. Each method throws `bug: …` when the part has another form. */
export type ReplyReader = {
  length: number;
  text(at: number): string;
  /** A whole number, sent as such or as text. */
  whole(at: number): number;
  /** The same, undefined when the part is empty text. */
  wholeOrNone(at: number): number | undefined;
};

/** @throws Error `bug: …` when the reply is no list */
export function readReply(script: string, reply: unknown): ReplyReader {
  if (!Array.isArray(reply)) throw new Error(`bug: ${script} answered ${String(reply)}`);
  const parts: readonly unknown[] = reply;

  function text(at: number): string {
    const part = parts[at];
    if (typeof part === 'string') return part;
    throw new Error(`bug: ${script} answered ${String(part)} at ${at}, not a text`);
  }

  return {
    length: parts.length,
    text,
    whole(at) {
      const part = parts[at];
      return typeof part === 'number' ? part : parseWhole(text(at), script);
    },
    wholeOrNone(at) {
      return parts[at] === '' ? undefined : this.whole(at);
    },
  };
}

/**
 * A whole number from its text, which may be negative.
 * @throws Error `bug: …` when the text is no whole number
 */
export function parseWhole(text: string | undefined, source: string): number {
  const value = text ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(value)) throw new Error(`bug: ${source} has ${text} for a number`);
  return value;
}

/**
 * Narrows a text to one of the words that may stand there.
 * @throws Error `bug: …` when it is none of them
 */
export function parseWord<Word extends string>(
  words: readonly Word[],
  text: string,
  source: string,
): Word {
  const word = words.find((candidate) => candidate === text);
  if (word === undefined) throw new Error(`bug: ${source} has the word ${text}`);
  return word;
}

/** Splits a flat list of field, value, field, value … into pairs. */
export function pairsOf(flat: readonly string[]): [field: string, value: string][] {
  const pairs: [string, string][] = [];
  for (let at = 0; at < flat.length; at += 2) {
    const [field, value] = flat.slice(at, at + 2);
    if (field === undefined || value === undefined) throw new Error('bug: a field has no value');
    pairs.push([field, value]);
  }
  return pairs;
}
