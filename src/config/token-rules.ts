import { matching, oneOf, type SettingsReader, secret, url } from './settings.ts';

/** How buyers' tokens are verified. The algorithm is pinned, whatever a token's header says. */
export type TokenRules = {
  issuer: string;
  audience: string;
} & (
  | { kind: 'secret'; algorithm: SecretAlgorithm; secret: string }
  /** The secret is in the data folder; only in demo mode. */
  | { kind: 'folder'; algorithm: SecretAlgorithm }
  | { kind: 'jwks'; algorithm: KeyAlgorithm; url: string }
);

const secretAlgorithms = ['HS256', 'HS384', 'HS512'] as const;
const keyAlgorithms = ['RS256', 'RS384', 'RS512', 'PS256', 'ES256', 'ES384', 'EdDSA'] as const;
type SecretAlgorithm = (typeof secretAlgorithms)[number];
type KeyAlgorithm = (typeof keyAlgorithms)[number];

/** Buyers' tokens are verified by a secret or a JWKS, never both; outside demo mode one must be set. */
export function readTokenRules(
  { read, problems }: SettingsReader,
  { demo, hasFolder }: { demo: boolean; hasFolder: boolean },
): TokenRules {
  const key = read('FLASHDROP_JWT_SECRET', secret);
  const jwks = read('FLASHDROP_JWKS_URL', url('https', 'http'));
  const asked = read('FLASHDROP_JWT_ALGORITHM', oneOf(...secretAlgorithms, ...keyAlgorithms));
  const issuer = read('FLASHDROP_JWT_ISSUER', matching('1 to 200 printable characters', printable));
  const audience = read(
    'FLASHDROP_JWT_AUDIENCE',
    matching('1 to 200 printable characters', printable),
  );
  const wrong = problems.some((problem) => /^FLASHDROP_JW(T_SECRET|KS_URL) /.test(problem));
  const isKeyMissing = !key && !jwks && !wrong && !(demo && hasFolder);
  problems.push(...conflictsOf({ demo, key, jwks, isKeyMissing, issuer }));
  const wanted: readonly string[] = jwks ? keyAlgorithms : secretAlgorithms;
  if (asked && !wanted.includes(asked)) {
    problems.push(
      `FLASHDROP_JWT_ALGORITHM is "${asked}": with ` +
        `${jwks ? 'FLASHDROP_JWKS_URL' : 'a shared secret'} it must be one of ${wanted.join(', ')}`,
    );
  }
  const shared = { issuer: issuer ?? 'flashdrop-demo', audience: audience ?? 'flashdrop' };
  const secretAlgorithm = secretAlgorithms.find((name) => name === asked) ?? 'HS256';
  if (jwks) {
    const algorithm = keyAlgorithms.find((name) => name === asked) ?? 'RS256';
    return { ...shared, kind: 'jwks', url: jwks, algorithm };
  }
  return key
    ? { ...shared, kind: 'secret', secret: key, algorithm: secretAlgorithm }
    : { ...shared, kind: 'folder', algorithm: secretAlgorithm };
}

/** What is set of these and does not go together, or is missing. */
function conflictsOf(given: {
  demo: boolean;
  key: string | undefined;
  jwks: string | undefined;
  isKeyMissing: boolean;
  issuer: string | undefined;
}): string[] {
  const { demo, key, jwks, isKeyMissing, issuer } = given;
  const conflicts: string[] = [];
  if (key && jwks) {
    conflicts.push('FLASHDROP_JWT_SECRET and FLASHDROP_JWKS_URL are both set: set one of them');
  }
  if (demo && jwks) {
    conflicts.push(
      'FLASHDROP_JWKS_URL is set in demo mode, which signs its own tokens: set FLASHDROP_DEMO=off',
    );
  }
  if (isKeyMissing) {
    conflicts.push(
      'FLASHDROP_JWT_SECRET or FLASHDROP_JWKS_URL must be set: buyers are authenticated by it',
    );
  }
  if (!issuer && !demo) {
    conflicts.push(
      'FLASHDROP_JWT_ISSUER must be set outside demo mode: the "iss" of buyers\' tokens',
    );
  }
  return conflicts;
}

const printable = /^[\x21-\x7e]{1,200}$/;
