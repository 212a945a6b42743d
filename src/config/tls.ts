import { readFileSync } from 'node:fs';
import type { ConnectionOptions } from 'node:tls';

/** Words of a store's URL that say how the connection is encrypted; PostgreSQL's own, but `no-verify`. */
const modes = ['disable', 'require', 'verify-ca', 'verify-full', 'no-verify'];
const files = { ca: 'sslrootcert', cert: 'sslcert', key: 'sslkey' } as const;
const words: readonly string[] = ['sslmode', ...Object.values(files)];
/** What other drivers write as `ssl=`, as a sslmode. */
const shortModes = new Map(
  Object.entries({ true: 'require', 1: 'require', false: 'disable', 0: 'disable' }),
);

/** A store's URL without the words about TLS, and what they ask for: undefined for no TLS. */
export type StoreAddress = { url: string; tls: ConnectionOptions | undefined };

/**
 * Reads the words about TLS in a store's URL. `rediss` and any sslmode but `disable` verify the server's
 * certificate and name, except `verify-ca` (not the name) and `no-verify` (neither).
 * @throws Error with what is wrong and what to write
 */
export function readStoreAddress(url: string): StoreAddress {
  const [address = '', query = ''] = url.split(/\?(.*)/s, 2);
  const params = new URLSearchParams(query);
  const short = params.get('ssl');
  params.delete('ssl');
  if (short !== null && !params.has('sslmode')) {
    params.set('sslmode', shortModes.get(short) ?? short);
  }
  const given = new Map(words.flatMap((word) => pairOf(word, params.get(word))));
  for (const word of words) params.delete(word);
  const rest = params.size > 0 ? `?${params}` : '';
  return { url: address.replace(/^rediss:/, 'redis:') + rest, tls: tlsOf(url, given) };
}

function pairOf(word: string, value: string | null): [string, string][] {
  return value === null ? [] : [[word, value]];
}

function tlsOf(url: string, given: ReadonlyMap<string, string>): ConnectionOptions | undefined {
  const mode = given.get('sslmode');
  if (mode !== undefined && !modes.includes(mode)) {
    throw new Error(`sslmode=${mode}: it must be ${modes.join(', ')}`);
  }
  const isSecure = url.startsWith('rediss:');
  if (url.startsWith('redis:') && given.size > 0 && mode !== 'disable') {
    throw new Error(`${[...given.keys()].join(' and ')} without TLS: write rediss:// for redis://`);
  }
  if (isSecure && mode === 'disable') {
    throw new Error('sslmode=disable with TLS: write redis:// for rediss://, or leave sslmode out');
  }
  if (mode === 'disable' || (!isSecure && given.size === 0)) return undefined;
  const tls: ConnectionOptions = { rejectUnauthorized: mode !== 'no-verify' };
  if (mode === 'verify-ca') tls.checkServerIdentity = () => undefined;
  for (const [option, word] of Object.entries(files)) {
    const path = given.get(word);
    if (path !== undefined) Object.assign(tls, { [option]: readPem(word, path) });
  }
  if (Boolean(tls.cert) !== Boolean(tls.key)) {
    throw new Error('sslcert without sslkey, or the reverse: write both or neither');
  }
  return tls;
}

function readPem(word: string, path: string): string {
  let text = '';
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : cause;
    throw new Error(`${word}=${path}: the file cannot be read (${code})`, { cause });
  }
  if (!text.includes('-----BEGIN ')) {
    throw new Error(`${word}=${path}: it must be a file in the PEM format (-----BEGIN …)`);
  }
  return text;
}

const unknownIssuer =
  'its certificate is signed by an authority that is not known here: add sslrootcert=/path/to/ca.pem to the URL';

/** What is wrong with TLS and what to write, by the code of Node's error. */
const explanations: Record<string, string | undefined> = {
  SELF_SIGNED_CERT_IN_CHAIN: unknownIssuer,
  DEPTH_ZERO_SELF_SIGNED_CERT: unknownIssuer,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: unknownIssuer,
  UNABLE_TO_GET_ISSUER_CERT: unknownIssuer,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: unknownIssuer,
  CERT_HAS_EXPIRED: 'its certificate has expired: renew it',
  CERT_NOT_YET_VALID: 'its certificate is not valid yet: check the clock of this machine',
  ERR_TLS_CERT_ALTNAME_INVALID:
    'its certificate is for another name: write the name of the certificate as host, or sslmode=verify-ca',
  ERR_SSL_WRONG_VERSION_NUMBER:
    'it does not speak TLS at this port: write its TLS port, or a URL without TLS',
  ERR_SSL_PACKET_LENGTH_TOO_LONG:
    'it does not speak TLS at this port: write its TLS port, or a URL without TLS',
  ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED:
    'it asks for a certificate of this client: add sslcert=/path/to/client.pem and sslkey=/path/to/client.key to the URL',
  ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE:
    'it asks for a certificate of this client, or has no cipher in common: see sslcert and sslkey in docs/connections.md',
  ERR_SSL_TLSV1_ALERT_UNKNOWN_CA:
    'it does not accept the certificate of this client: check sslcert',
};

/** The explanation of an error of TLS; undefined for any other error. */
export function explainTls(error: unknown): string | undefined {
  if (!(error instanceof Error && 'code' in error)) return undefined;
  return explanations[String(error.code)];
}

/** Host and port of a store's URL, without user and password; for a socket its path. */
export function placeOf(url: string): string {
  const parsed = URL.parse(url.replace('@/', '@localhost/'));
  const socket = parsed?.searchParams.get('host');
  if (socket) return socket;
  return decodeURIComponent(parsed?.host ?? 'the given address');
}
