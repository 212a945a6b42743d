import { invalid, Problem } from '../problems/problems.ts';

type Token = { text: string; kind: 'mark' | 'string' | 'other'; start: number };

const tokenPattern =
  /[\t\n\r ]*(?:([{}[\],:])|("(?:[ !#-[\]-\uffff]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*")|(-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null))/y;

/**
 * Finds the first fault in a text that is not the JSON we accept: a name given twice or wrong syntax.
 * Only for texts that `parseJson` has refused, and not nested deeper than it allows.
 */
export function findFault(text: string): Problem {
  const tokens = openTokens(text);
  try {
    readValue(tokens, '');
    if (!tokens.isAtEnd()) return tokens.fault();
    return invalid('body', 'is not JSON');
  } catch (error) {
    if (error instanceof Problem) return error;
    throw error;
  }
}

type Tokens = ReturnType<typeof openTokens>;

function openTokens(text: string) {
  let at = 0;

  /** The refusal that names a position; without one, the next token's. */
  function fault(position = at + blanksFrom(at)): Problem {
    const where = position >= text.length ? 'ends too early' : 'is not JSON';
    return invalid('body', `${where} at position ${position}`);
  }

  function blanksFrom(position: number): number {
    return /^[\t\n\r ]*/.exec(text.slice(position))?.[0].length ?? 0;
  }

  /** @throws Problem when no token follows */
  function next(): Token {
    tokenPattern.lastIndex = at;
    const match = tokenPattern.exec(text);
    if (!match) throw fault();
    at = tokenPattern.lastIndex;
    const [, mark, string, other = ''] = match;
    if (mark !== undefined) return tokenOf(mark, 'mark');
    return string === undefined ? tokenOf(other, 'other') : tokenOf(string, 'string');
  }

  function tokenOf(found: string, kind: Token['kind']): Token {
    return { text: found, kind, start: at - found.length };
  }

  return { next, fault, isAtEnd: () => text.slice(at).trim() === '' };
}

function readValue(tokens: Tokens, path: string, first = tokens.next()): void {
  if (first.text === '{') readObject(tokens, path);
  else if (first.text === '[') readArray(tokens, path);
  else if (first.kind === 'mark') throw tokens.fault(first.start);
}

function readObject(tokens: Tokens, path: string): void {
  const seen = new Set<string>();
  let name = tokens.next();
  if (name.text === '}') return;
  for (;;) {
    if (name.kind !== 'string') throw tokens.fault(name.start);
    const field = String(JSON.parse(name.text));
    const fieldPath = path ? `${path}.${field}` : field;
    if (seen.has(field)) throw invalid(shownField(fieldPath), 'is given twice');
    seen.add(field);
    const colon = tokens.next();
    if (colon.text !== ':') throw tokens.fault(colon.start);
    readValue(tokens, fieldPath);
    if (readsEnd(tokens, '}')) return;
    name = tokens.next();
  }
}

function readArray(tokens: Tokens, path: string): void {
  let first = tokens.next();
  if (first.text === ']') return;
  for (let index = 0; ; index += 1) {
    readValue(tokens, `${path}[${index}]`, first);
    if (readsEnd(tokens, ']')) return;
    first = tokens.next();
  }
}

/** Reads a comma or the closing mark; true for the closing mark. */
function readsEnd(tokens: Tokens, end: '}' | ']'): boolean {
  const mark = tokens.next();
  if (mark.text === end) return true;
  if (mark.text !== ',') throw tokens.fault(mark.start);
  return false;
}

/** A field name from a caller, fit to be sent back: short and printable. */
export function shownField(name: string): string {
  const plain = name.replace(/[^\x20-\x7e]/g, '?');
  return plain.length > 80 ? `${plain.slice(0, 77)}...` : plain;
}
