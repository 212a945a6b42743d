import { nearest } from './spelling.ts';

export type Environment = Record<string, string | undefined>;

/** A type of setting: a text that says what is allowed, and a parser, undefined for what is not. */
export type Kind<T> = {
  allowed: string;
  /** The value is never printed. */
  secret?: true;
  parse(text: string): T | undefined;
};

export type SettingsReader = ReturnType<typeof settingsReader>;

/** Settings that only the set-up or a command reads; listed so that they do not count as unknown. */
const readElsewhere = ['FLASHDROP_NO_INSTALL', 'FLASHDROP_API_KEY'];
const testPrefix = 'FLASHDROP_TEST_';

export function wholeNumber(least: number, most: number): Kind<number> {
  return {
    allowed: `a whole number from ${least} to ${most}`,
    parse(text) {
      const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
      return value >= least && value <= most ? value : undefined;
    },
  };
}

export function oneOf<const T extends string>(...words: T[]): Kind<T> {
  return { allowed: listed(words), parse: (text) => words.find((word) => word === text) };
}

export function someOf<const T extends string>(...words: T[]): Kind<ReadonlySet<T>> {
  return {
    allowed: `a comma-separated list of ${listed(words)}`,
    parse(text) {
      const parts = text.split(',').map((part) => part.trim());
      const known = parts.flatMap((part) => words.find((word) => word === part) ?? []);
      return known.length === parts.length ? new Set(known) : undefined;
    },
  };
}

export const onOff: Kind<boolean> = {
  allowed: 'on or off',
  parse(text) {
    if (['on', 'true', '1', 'yes'].includes(text)) return true;
    return ['off', 'false', '0', 'no'].includes(text) ? false : undefined;
  },
};

export function matching(allowed: string, pattern: RegExp): Kind<string> {
  return { allowed, parse: (text) => (pattern.test(text) ? text : undefined) };
}

export function url(...schemes: string[]): Kind<string> {
  return {
    allowed: `a URL such as ${schemes[0]}://host`,
    parse(text) {
      const parsed = URL.parse(text);
      if (!parsed || !schemes.includes(parsed.protocol.slice(0, -1))) return undefined;
      return parsed.hostname === '' && !parsed.searchParams.has('host') ? undefined : text;
    },
  };
}

export const secret: Kind<string> = {
  secret: true,
  allowed: 'at least 32 bytes (for example from: openssl rand -base64 48)',
  parse: (text) => (Buffer.byteLength(text) >= 32 ? text : undefined),
};

/**
 * Reads settings from an environment and collects every problem instead of stopping at the first.
 * An empty setting counts as not given.
 */
export function settingsReader(env: Environment) {
  const known = new Set<string>(readElsewhere);
  const problems: string[] = [];

  function read<T>(name: string, kind: Kind<T>): T | undefined {
    known.add(name);
    const text = env[name];
    if (text === undefined || text === '') return undefined;
    const value = kind.parse(text);
    if (value === undefined) {
      const shown = kind.secret ? bytesOf(text) : `"${withoutPassword(text)}"`;
      problems.push(`${name} is ${shown}: it must be ${kind.allowed}`);
    }
    return value;
  }

  /** Reports names with our prefix that nothing has read: they are mistyped. */
  function unknown(): string[] {
    const unread = Object.keys(env).filter(
      (name) => name.startsWith('FLASHDROP_') && !known.has(name) && !name.startsWith(testPrefix),
    );
    return unread.map((name) => `${name} is no setting${suggestion(name, [...known])}`);
  }

  const isGiven = (name: string) => (env[name] ?? '') !== '';

  return { read, isGiven, problems, unknown };
}

/** `; did you mean X?` when a known word is near, else nothing. */
export function suggestion(word: string, known: readonly string[]): string {
  const near = nearest(word, known);
  return near ? `; did you mean ${near}?` : '';
}

/** Shown in place of a secret, since problems are printed and logged. */
function bytesOf(text: string): string {
  return `${Buffer.byteLength(text)} bytes long`;
}

function withoutPassword(text: string): string {
  return text.replace(/\/\/[^@/]*@/, '//***@');
}

function listed(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
}
