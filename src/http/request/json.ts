import { invalid, type Problem } from '../problems/problems.ts';

const depthMax = 16;

/**
 * Reads a body as strict JSON. Refused, beyond what JSON.parse refuses: bytes that are not UTF-8,
 * a name given twice in one object, and nesting deeper than any of our bodies.
 * @throws Problem invalid_request that names the place
 */
export function parseJson(text: string): unknown {
  // What decoding puts in the place of broken bytes; nobody writes it on purpose.
  if (text.includes('\ufffd')) throw invalid('body', 'is not UTF-8 text');
  if (text.length === 0) return undefined;
  const names = countNames(text);
  if (names === undefined) throw invalid('body', `is nested deeper than ${depthMax} levels`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw locate(text);
  }
  // As many names written as there are properties: none was given twice. Else find which.
  if (countProperties(value) !== names) throw locate(text);
  return value;
}

/** Names in the text: colons outside strings; undefined when it is nested too deep. */
function countNames(text: string): number | undefined {
  let names = 0;
  let depth = 0;
  for (let at = 0; at < text.length; at += 1) {
    const letter = text.charCodeAt(at);
    if (letter === 0x22) {
      at = stringEnd(text, at);
    } else if (letter === 0x3a) {
      names += 1;
    } else if (letter === 0x7b || letter === 0x5b) {
      depth += 1;
      if (depth > depthMax) return undefined;
    } else if (letter === 0x7d || letter === 0x5d) {
      depth -= 1;
    }
  }
  return names;
}

/** Where the string that opens at `start` has its closing quote; the text's end when it has none. */
function stringEnd(text: string, start: number): number {
  let quote = text.indexOf('"', start + 1);
  while (quote > 0 && isEscaped(text, quote)) quote = text.indexOf('"', quote + 1);
  return quote < 0 ? text.length : quote;
}

function isEscaped(text: string, at: number): boolean {
  let slashes = 0;
  while (text.charCodeAt(at - 1 - slashes) === 0x5c) slashes += 1;
  return slashes % 2 === 1;
}

function countProperties(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  let count = 0;
  if (Array.isArray(value)) {
    for (const member of value) count += countProperties(member);
    return count;
  }
  for (const name of Object.keys(value)) {
    count += 1 + countProperties((value as Record<string, unknown>)[name]);
  }
  return count;
}

const token =
  /[\t\n\r ]*(?:([{}[\],:])|("(?:[ !#-[\]-\uffff]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*")|(-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null))/y;

/** Walks a text that is known to be faulty and names the first fault: a double name or bad syntax. */
function locate(text: string): Problem {
  let at = 0;

  function next(): { text: string; kind: 'mark' | 'string' | 'other'; start: number } {
    token.lastIndex = at;
    const match = token.exec(text);
    if (!match) throw fault();
    at = token.lastIndex;
    const found = match[1] ?? match[2] ?? match[3] ?? '';
    const kind = match[1] ? 'mark' : match[2] ? 'string' : 'other';
    return { text: found, kind, start: at - found.length };
  }

  function fault(position = at + (/^[\t\n\r ]*/.exec(text.slice(at))?.[0].length ?? 0)): Problem {
    const where = position >= text.length ? 'ends too early' : 'is not JSON';
    return invalid('body', `${where} at position ${position}`);
  }

  function readValue(path: string, first = next()): void {
    if (first.text === '{') readObject(path);
    else if (first.text === '[') readArray(path);
    else if (first.kind === 'mark') throw fault(first.start);
  }

  function readObject(path: string): void {
    const seen = new Set<string>();
    let name = next();
    if (name.text === '}') return;
    for (;;) {
      if (name.kind !== 'string') throw fault(name.start);
      const field = JSON.parse(name.text) as string;
      const named = path ? `${path}.${field}` : field;
      if (seen.has(field)) throw invalid(shownField(named), 'is given twice');
      seen.add(field);
      const colon = next();
      if (colon.text !== ':') throw fault(colon.start);
      readValue(named);
      const mark = next();
      if (mark.text === '}') return;
      if (mark.text !== ',') throw fault(mark.start);
      name = next();
    }
  }

  function readArray(path: string): void {
    let first = next();
    if (first.text === ']') return;
    for (let index = 0; ; index += 1) {
      readValue(`${path}[${index}]`, first);
      const mark = next();
      if (mark.text === ']') return;
      if (mark.text !== ',') throw fault(mark.start);
      first = next();
    }
  }

  try {
    readValue('');
    if (text.slice(at).trim() !== '') return fault();
    return invalid('body', 'is not JSON');
  } catch (problem) {
    return problem as Problem;
  }
}

/** A caller's own field name made fit to be shown back: short and printable. */
export function shownField(name: string): string {
  const plain = name.replace(/[^\x20-\x7e]/g, '?');
  return plain.length > 80 ? `${plain.slice(0, 77)}...` : plain;
}
