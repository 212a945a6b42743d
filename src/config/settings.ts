import { nearest } from './spelling.ts';

export type Environment = Record<string, string | undefined>;

/** A type of setting: a text that says what is allowed, and a parser, undefined for what is not. */
export type Kind<T> = {
  allowed: string;
  /** The value is never printed. */
  secret?: true;
  parse(text: string): T | undefined;
  /** What a value that is not allowed is in place of what it should be, where that can be told. */
  fault?(text: string): string | undefined;
  /** What removing the setting does, where that is not a mere default: begins with "to". */
  removal?: string | undefined;
  /** Whether nothing stands in for the setting, so that it cannot be removed. */
  isNeeded?: boolean | undefined;
};

export type SettingsReader = ReturnType<typeof settingsReader>;

/** Settings that only the set-up or a command reads; listed so that they do not count as unknown. */
const readElsewhere = ['FLASHDROP_NO_INSTALL', 'FLASHDROP_API_KEY'];
const testPrefix = 'FLASHDROP_TEST_';
/** Our prefix as it may be mistyped, too, before a name: `FLASHDROP` alone is a variable of somebody's shell. */
const ourPrefix = /^flash[-_]?(drop|dorp|drp|dop)./i;

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
  const isWeb = schemes.includes('https');
  return {
    allowed:
      `a URL such as ${schemes[0]}://host` +
      (isWeb ? '' : ', with # / ? @ and % in a password written %23 %2F %3F %40 and %25'),
    parse(text) {
      // The host is a socket's folder in `?host=`: then the URL itself has none, which is no URL to Node.
      const parsed = URL.parse(isWeb ? text : text.replace('@/', '@localhost/'));
      if (!parsed || !schemes.includes(parsed.protocol.slice(0, -1))) return undefined;
      if (parsed.hostname === '' && !parsed.searchParams.has('host')) return undefined;
      return isWeb || isPasswordWhole(parsed) ? text : undefined;
    },
  };
}

/** Whether a password is not cut by a character that ends it: its @ is behind the host then. */
function isPasswordWhole({ password, pathname, search, hash }: URL): boolean {
  try {
    decodeURIComponent(password);
  } catch {
    return false;
  }
  return !`${pathname}${pathname === '' ? search : ''}${hash}`.includes('@');
}

export const secret: Kind<string> = {
  secret: true,
  allowed: 'at least 32 bytes (for example from: openssl rand -base64 48)',
  parse: (text) => (Buffer.byteLength(text) >= 32 ? text : undefined),
};

/**
 * Reads settings from an environment and collects every problem instead of stopping at the first. One
 * that is set but empty counts as not given, and is a problem of its own in `empty`: the default could
 * be another store or other keys than what was meant to stand there.
 */
export function settingsReader(env: Environment) {
  const known = new Set<string>(readElsewhere);
  const problems: string[] = [];
  const empty: string[] = [];

  function read<T>(name: string, kind: Kind<T>): T | undefined {
    known.add(name);
    const text = written(name);
    if (text === '') {
      if (env[name] !== undefined) empty.push(`${name} is set but empty: ${insteadOf(kind)}`);
      return undefined;
    }
    const value = kind.parse(text);
    if (value === undefined) {
      const fault = kind.fault?.(text) ?? (kind.secret ? bytesOf(text) : shown(text));
      problems.push(`${name} is ${fault}: it must be ${kind.allowed}`);
    }
    return value;
  }

  /** A value without the blanks, line ends and quotes that come along when it is copied. */
  function written(name: string): string {
    const text = env[name]?.trim() ?? '';
    return /^(["'])(?<inner>[^"']*)\1$/.exec(text)?.groups?.['inner']?.trim() ?? text;
  }

  /** Reports names with our prefix that nothing has read: they are mistyped. */
  function unknown(): string[] {
    const unread = Object.keys(env).filter(
      (name) => ourPrefix.test(name) && !known.has(name) && !name.startsWith(testPrefix),
    );
    return unread.map((name) => `${name} is no setting${suggestion(name, [...known])}`);
  }

  const isGiven = (name: string) => written(name) !== '';

  return { read, isGiven, problems, empty, unknown };
}

function insteadOf({ allowed, removal, isNeeded }: Kind<unknown>): string {
  if (isNeeded) return `write ${allowed}`;
  return `write ${allowed}, or remove it${removal ? ` ${removal}` : ''}`;
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

const shownMax = 80;

/**
 * A value for the text of a problem. Of a URL nothing but the scheme is shown: one that does not parse
 * may have its password anywhere. Keys and long values are not shown, in whatever setting they stand.
 */
export function shown(text: string): string {
  const scheme = /^[A-Za-z][A-Za-z0-9+.-]*:\/\//.exec(text)?.[0];
  if (scheme) return `"${scheme}…" (${bytesOf(text)})`;
  const isSecret = /@|[sr]k_|whsec_|fdk_|eyJ|-----BEGIN/.test(text) || text.length > shownMax;
  return isSecret ? bytesOf(text) : `"${text}"`;
}

function listed(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
}
