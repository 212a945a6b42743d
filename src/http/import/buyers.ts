import { isBuyerName } from '../auth/buyers.ts';
import { Problem } from '../problems/problems.ts';
import { parseJson } from '../request/json.ts';

/** A line's buyer, why it names none, or undefined when it has nothing to say. */
export type ReadLine = string | { reason: string } | undefined;

/** Reads a line of a list by its number, from 1. */
export type LineReader = (text: string, line: number) => ReadLine;

const badName = { reason: 'a buyer must be 1 to 128 printable ASCII characters without spaces' };
const badShape = { reason: 'must be a text or {"buyer": text}' };

/** Names without a quote or a backslash, which is to say nearly all, are read without more ado. */
const plainText = /^"([!#-[\]-~]{1,128})"$/;
const plainObject = /^\{"buyer":"([!#-[\]-~]{1,128})"\}$/;

/** `"ann"` or `{"buyer": "ann"}` in each line. */
export const readNdjson: LineReader = (text) => {
  const plain = plainText.exec(text) ?? plainObject.exec(text);
  if (plain) return plain[1] as string;
  if (text.trim() === '') return undefined;
  let value: unknown;
  try {
    value = parseJson(text);
  } catch (error) {
    const reason = error instanceof Problem ? error.members.errors?.[0]?.reason : undefined;
    return { reason: reason ?? 'is not JSON' };
  }
  const named = typeof value === 'object' && value !== null && !Array.isArray(value);
  const { buyer, ...more } = named ? (value as Record<string, unknown>) : { buyer: value };
  if (typeof buyer !== 'string' || Object.keys(more).length > 0) return badShape;
  return isBuyerName(buyer) ? buyer : badName;
};

const plainCell = /^[!#-+\--~]{1,128}$/;
const quotedCell = /^"((?:[^"]|"")*)"$/;

/**
 * One column (RFC 4180), with `buyer` as its header or without. A record is a line: no name holds a
 * line break, and so a quote that is never closed spoils its own line and no other.
 */
export const readCsv: LineReader = (text, line) => {
  if (text === '' || (line === 1 && /^"?buyer"?$/.test(text))) return undefined;
  if (plainCell.test(text)) return text;
  const quoted = quotedCell.exec(text)?.[1];
  if (quoted !== undefined) {
    const buyer = quoted.replaceAll('""', '"');
    return isBuyerName(buyer) ? buyer : badName;
  }
  if (text.includes('"')) return { reason: 'has a quote out of place, or more than one column' };
  return text.includes(',') ? { reason: 'has more than one column' } : badName;
};
