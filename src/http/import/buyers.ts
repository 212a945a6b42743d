import { isBuyerName } from '../auth/claims.ts';
import { Problem } from '../problems/problems.ts';
import { parseJson } from '../request/json.ts';
import { isRecord } from '../request/record.ts';

/** A line's buyer, why it gives none, or undefined for a blank line or the header. */
export type LineResult = string | { reason: string } | undefined;

/** Reads a line of a list; `line` is its number, from 1. */
export type LineReader = (text: string, line: number) => LineResult;

const badName = { reason: 'a buyer must be 1 to 255 printable ASCII characters without spaces' };
const badShape = { reason: 'must be a text or {"buyer": text}' };

/** Nearly all names have no quote and no backslash: those are read without parsing JSON. */
const plainText = /^"([!#-[\]-~]{1,255})"$/;
const plainObject = /^\{"buyer":"([!#-[\]-~]{1,255})"\}$/;

/** Each line is `"ann"` or `{"buyer": "ann"}`. */
export const readNdjson: LineReader = (text) => {
  const plain = (plainText.exec(text) ?? plainObject.exec(text))?.[1];
  if (plain !== undefined) return plain;
  if (text.trim() === '') return undefined;
  let value: unknown;
  try {
    value = parseJson(text);
  } catch (error) {
    const reason = error instanceof Problem ? error.members.errors?.[0]?.reason : undefined;
    return { reason: reason ?? 'is not JSON' };
  }
  const { buyer, ...others } = isRecord(value) ? value : { buyer: value };
  if (typeof buyer !== 'string' || Object.keys(others).length > 0) return badShape;
  return isBuyerName(buyer) ? buyer : badName;
};

const plainCell = /^[!#-+\--~]{1,255}$/;
const quotedCell = /^"((?:[^"]|"")*)"$/;

/**
 * One column (RFC 4180), with the header `buyer` or without. Each record is one line, because no name
 * contains a line break: a quote that is never closed makes its own line bad and no other.
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
