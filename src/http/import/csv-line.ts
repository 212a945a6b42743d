/**
 * The cells of one line of CSV (RFC 4180), undefined when a quote is out of place. Lines are read one
 * by one, so that a quote that is never closed makes its own line bad and no other.
 */
export function splitCells(text: string, separator: string): string[] | undefined {
  const cells: string[] = [];
  let at = 0;
  for (;;) {
    const isQuoted = text[at] === '"';
    const end = isQuoted ? endOfQuoted(text, at) : endOfPlain(text, { at, separator });
    if (end === undefined) return undefined;
    const cell = text.slice(at, end);
    if (!isQuoted && cell.includes('"')) return undefined;
    cells.push(isQuoted ? cell.slice(1, -1).replaceAll('""', '"') : cell);
    if (end === text.length) return cells;
    if (text[end] !== separator) return undefined;
    at = end + 1;
  }
}

function endOfPlain(text: string, from: { at: number; separator: string }): number {
  const end = text.indexOf(from.separator, from.at);
  return end < 0 ? text.length : end;
}

function endOfQuoted(text: string, start: number): number | undefined {
  for (let at = start + 1; ; at += 2) {
    at = text.indexOf('"', at);
    if (at < 0) return undefined;
    if (text[at + 1] !== '"') return at + 1;
  }
}

const separators = [',', ';', '\t'];

/** The separator that splits a header into most cells; a comma when none does. */
export function separatorOf(header: string): string {
  const count = (separator: string) => splitCells(header, separator)?.length ?? 0;
  return separators.reduce((best, next) => (count(next) > count(best) ? next : best));
}
