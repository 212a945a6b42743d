import { Problem } from '../problems/problems.ts';

/** What the request says about its list. */
export type ListOptions = {
  /** The column, or the member of each object, that has the buyers. */
  column?: string | undefined;
  /** Whether the first line of a CSV list is a header; found out when absent. */
  header?: 'present' | 'absent' | undefined;
};

const columnsMax = 20;
const nameLengthMax = 64;

/** Refuses a list of whose columns it is not clear which has the buyers. Nothing was imported. */
export function unclear(names: readonly string[]): Problem {
  const columns = names.slice(0, columnsMax).map((name) => inUtf8(name).slice(0, nameLengthMax));
  return new Problem('import_columns', { columns });
}

/**
 * Refuses a list whose first line may be a header or a buyer. It is not offered as a column: whoever
 * names it says that it is a header, and a buyer would be lost.
 */
export function doubtful(): Problem {
  return new Problem('import_columns', { detail: doubtfulDetail });
}

const doubtfulDetail =
  'Nothing was imported. The first line is unlike the lines below it: send `?header=absent` if it is a buyer, or `?header=present` if it is a header.';

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** The name of a column whose bytes were read as one character each: see lines.ts. */
function inUtf8(name: string): string {
  const bytes = Buffer.from(name, 'latin1');
  if (bytes.toString('latin1') !== name) return name;
  try {
    return utf8.decode(bytes);
  } catch {
    return name;
  }
}

const normal = (name: string) => name.trim().toLowerCase();

/**
 * Finds a column by its name: the exact one, else the only one that differs from it in case or blanks
 * alone. -1 when there is none or more than one.
 */
export function columnNamed(given: readonly string[], wanted: string): number {
  const names = given.map(inUtf8);
  const exact = names.indexOf(wanted);
  if (exact >= 0 && names.lastIndexOf(wanted) === exact) return exact;
  const alike = names.flatMap((name, at) => (normal(name) === normal(wanted) ? [at] : []));
  return alike.length === 1 ? (alike[0] ?? -1) : -1;
}

const people =
  'buyer|user|account|customer|client|member|person|owner|subject|sub|login|handle|nickname|' +
  'kunden?|benutzer|nutzer|teilnehmer|utilisateur|acheteur|usuario|cliente|comprador|utente|klant';
const marks =
  'id|uid|guid|uuid|openid|unionid|name|number|no|nr|code|key|token|nummer|numero|nom|nombre|nome';
const ways = 'e-?mail|mail|phone|telephone|tel|mobile|msisdn|address|telefono?|correo|courriel';
const others = 'date|order|sku|column|field|value';
const heading = new RegExp(`^(?:(?:${people})(?:${marks})?|${marks}|${ways}|${others})s?$`);

/**
 * Whether the only cell of a first line reads like the name of a column and not like a buyer, judged by
 * its last word: `Buyer`, `buyer_id`, `userName`, `E-mail`. A name with digits is somebody's.
 */
export function isHeading(cell: string): boolean {
  if (/\d/.test(cell)) return false;
  const words = cell
    .replace(/([a-z])([A-Z])/g, '$1 $2')
    .toLowerCase()
    .split(/[^a-z-]+/)
    .filter((word) => word !== '');
  const last = words.at(-1) ?? '';
  return heading.test(last) || heading.test(last.split('-').at(-1) ?? '');
}

/** So many lines tell what a buyer of a list looks like. */
const samplesMax = 20;
/** Among fewer buyers, one without a figure or with a capital is nothing to wonder about. */
const samplesMin = 10;

/**
 * Whether the first line of a list without a known header is unlike the lines below it, as a header is:
 * all of them have an @, and it has none; or, of ten at least, all contain a digit and it contains none, or it
 * alone begins with a capital. Where a header looks like a buyer in all of this, nobody can tell.
 */
export function isUnlike(first: string, others: readonly string[]): boolean {
  const samples = others.slice(0, samplesMax);
  if (samples.length === 0) return false;
  const lacks = (mark: RegExp) => !mark.test(first) && samples.every((one) => mark.test(one));
  if (lacks(/@/)) return true;
  if (samples.length < samplesMin) return false;
  return lacks(/\d/) || (/^[A-Z]/.test(first) && !samples.some((one) => /[A-Z]/.test(one)));
}
