import { unguardBuyer } from '../../domain/buyer-cell.ts';
import { isBuyerName } from '../auth/claims.ts';
import { invalid, Problem } from '../problems/problems.ts';
import { parseJson } from '../request/json.ts';
import { isRecord } from '../request/record.ts';
import {
  columnNamed,
  doubtful,
  isHeading,
  isUnlike,
  type ListOptions,
  unclear,
} from './columns.ts';
import { separatorOf, splitCells } from './csv-line.ts';

/** A line's buyer, why it gives none, or undefined for a line that is none: blank, or a header. */
export type LineResult = string | { reason: string } | undefined;

/** Reads the lines of one list, first to last. */
export type LineReader = {
  /** @throws Problem at the first line that is not blank, when it is not clear where the buyers are */
  read(text: string): LineResult;
  /**
   * Judges the list by its first buyers, before any of them is imported.
   * @throws Problem when the first of them seems to be a header
   */
  judge(buyers: readonly string[]): void;
};

const badName = { reason: 'a buyer must be 1 to 255 printable ASCII characters without spaces' };

/** Nearly all names have no quote and no backslash: those are read without parsing JSON. */
const plainText = /^"([!#-[\]-~]{1,255})"$/;
const plainObject = /^\{"buyer":"([!#-[\]-~]{1,255})"\}$/;

/** Each line is `"ann"` or `{"buyer": "ann"}`, or an object with the member that `column` names. */
export function openNdjsonReader({ column, header }: ListOptions): LineReader {
  if (header !== undefined) throw invalid('header', 'is for text/csv alone');
  let member = column ?? 'buyer';
  let isFirst = true;

  function buyerIn(value: unknown): unknown {
    if (!isRecord(value)) return value;
    const names = Object.keys(value);
    if (isFirst) member = memberOf(names, column);
    return column === undefined && names.length > 1 ? undefined : value[member];
  }

  function read(text: string): LineResult {
    const parsed = parseLine(text);
    if ('reason' in parsed) return parsed;
    const buyer = buyerIn(parsed.value);
    if (typeof buyer === 'string') return isBuyerName(buyer) ? buyer : badName;
    return { reason: `must be a text or {${JSON.stringify(member)}: text}` };
  }

  function readNdjson(text: string): LineResult {
    const plain = column === undefined && (plainText.exec(text) ?? plainObject.exec(text))?.[1];
    if (!plain && text.trim() === '') return undefined;
    const result = plain || read(text);
    isFirst = false;
    return result;
  }

  return { read: readNdjson, judge: () => {} };
}

/** The member of a list's first object that has the buyer. */
function memberOf(names: readonly string[], column: string | undefined): string {
  const found = names[columnNamed(names, column ?? 'buyer')];
  if (found === undefined || (column === undefined && names.length > 1)) throw unclear(names);
  return found;
}

function parseLine(text: string): { value: unknown } | { reason: string } {
  try {
    return { value: parseJson(text) };
  } catch (error) {
    const reason = error instanceof Problem ? error.members.errors?.[0]?.reason : undefined;
    return { reason: reason ?? 'is not JSON' };
  }
}

/** Where the buyers are: the column among `count`, and the header that stands above it. */
type Layout = { at: number; count: number; header: string | undefined };

const separatorLine = /^sep=(.)$/i;
/** The columns of our own export. */
const exported = 'buyer,madeat';

/**
 * One column of buyers, with the header `buyer` or without; of more columns, the one that `column`
 * names. Separated by commas, semicolons or tabs.
 */
export function openCsvReader({ column, header }: ListOptions): LineReader {
  let separator: string | undefined;
  let layout: Layout | undefined;

  function layOut(text: string): Layout {
    separator ??= header === 'absent' ? ',' : separatorOf(text);
    const cells = splitCells(text, separator) ?? [text];
    const count = cells.length;
    if (header === 'absent') return { at: numberOf(column, cells), count, header: undefined };
    if (header === 'present' && column === undefined && count === 1) {
      return { at: 0, count, header: text };
    }
    const at = columnNamed(cells, column ?? 'buyer');
    const isOurs = cells.map((cell) => cell.trim().toLowerCase()).join() === exported;
    if (at >= 0 && (column !== undefined || count === 1 || isOurs))
      return { at, count, header: text };
    const [only = ''] = cells;
    const isBuyer = count === 1 && isBuyerName(unguardBuyer(only)) && !isHeading(only);
    if (column !== undefined || header === 'present' || !isBuyer) throw unclear(cells);
    return { at: 0, count, header: undefined };
  }

  function cellOf(text: string, { at, count }: Layout): string | { reason: string } {
    const cells = splitCells(text, separator ?? ',');
    if (!cells) return { reason: 'has a quote out of place, or more than one column' };
    if (cells.length === count) return cells[at] ?? '';
    return { reason: count === 1 ? 'has more than one column' : `has not ${count} columns` };
  }

  function read(text: string): LineResult {
    if (text === '') return undefined;
    if (!layout) {
      const [, given] = separatorLine.exec(text) ?? [];
      if (given !== undefined && separator === undefined) {
        separator = given;
        return undefined;
      }
      layout = layOut(text);
      if (layout.header !== undefined) return undefined;
    }
    if (text === layout.header) return { reason: 'repeats the header' };
    const cell = cellOf(text, layout);
    if (typeof cell !== 'string') return cell;
    const buyer = unguardBuyer(cell);
    return isBuyerName(buyer) ? buyer : badName;
  }

  return {
    read,
    judge(buyers) {
      if (header !== undefined || layout === undefined || layout.header !== undefined) return;
      const [first = '', ...others] = buyers;
      if (isUnlike(first, others)) throw doubtful();
    },
  };
}

/** The position of a column that is named by its number, from 1. */
function numberOf(column: string | undefined, cells: readonly string[]): number {
  if (column === undefined && cells.length === 1) return 0;
  if (column === undefined) throw unclear(cells);
  const number = /^\d{1,3}$/.test(column) ? Number(column) : 0;
  if (number < 1 || number > cells.length) {
    throw invalid('column', `must be a number from 1 to ${cells.length} where there is no header`);
  }
  return number - 1;
}
