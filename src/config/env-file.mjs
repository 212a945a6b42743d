// Plain JavaScript: the set-up reads `.env` on Node 20, before anything is installed.
import { readFileSync } from 'node:fs';

/**
 * Reads an environment file: `NAME=value` lines with comments, `export`, and quotes that may span lines.
 * Node's own parser cuts an unquoted value at a #, and skips lines that it does not understand; both
 * would start an engine without a setting that its operator wrote. Here each is a problem.
 * @param {string} path
 * @returns {{ values: Record<string, string>, problems: string[] }} nothing for a file that is not there
 */
export function readEnvFile(path) {
  try {
    return parseEnvFile(readFileSync(path), path);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    if (code === 'ENOENT') return { values: {}, problems: [] };
    const reason = code === 'EISDIR' ? 'it is a folder' : code;
    return { values: {}, problems: [`${path} cannot be read: ${reason}`] };
  }
}

/**
 * @param {Buffer} bytes
 * @param {string} path for the text of a problem
 * @returns {{ values: Record<string, string>, problems: string[] }}
 */
export function parseEnvFile(bytes, path) {
  const text = decoded(bytes);
  if (text === undefined) {
    return { values: {}, problems: [`${path} is neither UTF-8 nor UTF-16 text: save it as UTF-8`] };
  }
  /** @type {Record<string, string>} */
  const values = {};
  /** @type {string[]} */
  const problems = [];
  const lines = text.replace(/\r\n?/g, '\n').split('\n');
  let at = 0;
  while (at < lines.length) {
    const first = at + 1;
    const entry = readEntry(lines, at);
    at += entry.lines;
    if (entry.problem !== undefined) problems.push(`${path} line ${first}: ${entry.problem}`);
    if (entry.name === undefined) continue;
    if ((values[entry.name] ?? entry.value) !== entry.value) {
      problems.push(
        `${path} line ${first}: ${entry.name} is set a second time, to another value: delete one`,
      );
    }
    values[entry.name] = entry.value;
  }
  return { values, problems };
}

/** @typedef {{ lines: number, problem?: string, name?: undefined }} NoEntry */
/** @typedef {{ lines: number, problem?: string, name: string, value: string }} Entry */

/**
 * The entry that begins at a line, and how many lines it has.
 * @param {string[]} lines
 * @param {number} at
 * @returns {NoEntry | Entry}
 */
function readEntry(lines, at) {
  const line = lines[at]?.trim() ?? '';
  if (line === '' || line.startsWith('#')) return { lines: 1 };
  const [, name, written] = /^(?:export\s+)?([A-Za-z_][\w.-]*)\s*=\s*(.*)$/.exec(line) ?? [];
  if (name === undefined || written === undefined) {
    return { lines: 1, problem: 'it is not NAME=value; a comment begins with #' };
  }
  const quote = written[0] ?? '';
  return ['"', "'", '`'].includes(quote)
    ? quoted({ name, quote, written, rest: lines.slice(at + 1) })
    : unquoted(name, written);
}

/** Names of settings whose values may hold any character, and are no use when one is missing. */
const secretName = /(KEY|SECRET|PASSWORD|TOKEN|URL)$/i;

/**
 * A # after a blank begins a comment. In a secret it may belong to the value as well, unless a blank
 * follows too.
 * @param {string} name
 * @param {string} written
 * @returns {Entry}
 */
function unquoted(name, written) {
  const comment = (secretName.test(name) ? /\s#(\s|$)/ : /\s#/).exec(` ${written}`);
  const value = (comment ? written.slice(0, comment.index) : written).trim();
  if (!value.includes('#')) return { lines: 1, name, value };
  const problem =
    `the value of ${name} has a # in it, where a comment may begin: put the value in quotes, ` +
    'or a blank before and after the #';
  return { lines: 1, name, value, problem };
}

/**
 * @param {{ name: string, quote: string, written: string, rest: string[] }} options
 *   `rest`: the lines that follow
 * @returns {Entry}
 */
function quoted({ name, quote, written, rest }) {
  const all = [written, ...rest];
  let value = '';
  for (const [index, line] of all.entries()) {
    const from = index === 0 ? 1 : 0;
    const end = line.indexOf(quote, from);
    if (end < 0) {
      value += `${line.slice(from)}\n`;
      continue;
    }
    value += line.slice(from, end);
    const after = line.slice(end + 1).trim();
    const lines = index + 1;
    if (after !== '' && !after.startsWith('#')) {
      const problem = `the value of ${name} goes on after its closing quote: quote all of it, or nothing`;
      return { lines, name, value, problem };
    }
    return { lines, name, value: quote === '"' ? value.replaceAll('\\n', '\n') : value };
  }
  return { lines: 1, name, value: written, problem: `the value of ${name} has no closing quote` };
}

/**
 * The text of UTF-8 and UTF-16 bytes, with or without a byte order mark; undefined for other bytes.
 * @param {Buffer} bytes
 * @returns {string | undefined}
 */
export function decoded(bytes) {
  try {
    const text = new TextDecoder(encodingOf(bytes), { fatal: true }).decode(bytes);
    return text.includes('\0') ? undefined : text;
  } catch {
    return undefined;
  }
}

/**
 * By the mark; without one, by the first character: what we read begins with ASCII, whose other byte is
 * 0 in UTF-16.
 * @param {Buffer} bytes
 */
function encodingOf(bytes) {
  const [first, second] = bytes;
  if ((first === 0xff && second === 0xfe) || (first !== 0 && second === 0)) return 'utf-16le';
  if ((first === 0xfe && second === 0xff) || (first === 0 && second !== 0)) return 'utf-16be';
  return 'utf-8';
}
