import { invalid } from '../problems/problems.ts';
import { findFault } from './json-fault.ts';

const depthMax = 16;

/**
 * Reads a body as strict JSON. Refused, beyond what JSON.parse refuses: bytes that are not UTF-8,
 * a name given twice in one object, and nesting deeper than any of our bodies. An empty text gives
 * undefined.
 * @throws Problem invalid_request that names the place
 */
export function parseJson(text: string): unknown {
  // The decoder replaces invalid bytes with U+FFFD; no valid request contains it.
  if (text.includes('\ufffd')) throw invalid('body', 'is not UTF-8 text');
  if (text.length === 0) return undefined;
  const names = countNames(text);
  if (names === undefined) throw invalid('body', `is nested deeper than ${depthMax} levels`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw findFault(text);
  }
  // As many names in the text as properties: no name was given twice. Else find which one was.
  if (countProperties(value) !== names) throw findFault(text);
  return value;
}

const quote = 0x22;
const colon = 0x3a;
const backslash = 0x5c;
const openBracket = 0x5b;
const closeBracket = 0x5d;
const openBrace = 0x7b;
const closeBrace = 0x7d;

/** Names in the text: colons outside strings; undefined when it is nested too deep. */
function countNames(text: string): number | undefined {
  let names = 0;
  let depth = 0;
  for (let at = 0; at < text.length; at += 1) {
    switch (text.charCodeAt(at)) {
      case quote:
        at = stringEnd(text, at);
        break;
      case colon:
        names += 1;
        break;
      case openBrace:
      case openBracket:
        depth += 1;
        if (depth > depthMax) return undefined;
        break;
      case closeBrace:
      case closeBracket:
        depth -= 1;
        break;
    }
  }
  return names;
}

/** The index of the closing quote of the string that opens at `start`; the text's length without one. */
function stringEnd(text: string, start: number): number {
  let end = text.indexOf('"', start + 1);
  while (end > 0 && isEscaped(text, end)) end = text.indexOf('"', end + 1);
  return end < 0 ? text.length : end;
}

function isEscaped(text: string, at: number): boolean {
  let slashes = 0;
  while (text.charCodeAt(at - 1 - slashes) === backslash) slashes += 1;
  return slashes % 2 === 1;
}

/** Properties of all objects in a parsed value. Not recursive in depth beyond depthMax. */
function countProperties(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  const members = Object.values(value);
  let count = Array.isArray(value) ? 0 : members.length;
  for (const member of members) count += countProperties(member);
  return count;
}
