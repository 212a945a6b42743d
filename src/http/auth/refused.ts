export const refusalReasons = [
  'missing',
  'malformed',
  'expired',
  'not_yet_valid',
  'invalid',
] as const;

/** Why credentials were refused; `description` is the `error_description` of RFC 6750. */
export type CredentialRefusal = {
  reason: (typeof refusalReasons)[number];
  description: string;
};

/** Refused credentials. The descriptions are for whoever sent them and repeat nothing of them. */
export const refused = {
  missing: refusal('missing', 'no Bearer credentials were sent'),
  malformed: refusal('malformed', 'the credentials have the wrong form'),
  tooLong: refusal('malformed', 'the Authorization header has more than 8192 characters'),
  expired: refusal('expired', 'the token has expired'),
  early: refusal('not_yet_valid', 'the token is not valid yet'),
  /** Signature, issuer or audience: which of them is told to nobody who may be guessing. */
  invalid: refusal('invalid', 'the token was not issued for this engine, or lacks a claim'),
  subject: refusal('invalid', 'sub must be 1 to 255 printable ASCII characters without spaces'),
  times: refusal('invalid', 'exp, and nbf and iat if given, must be seconds since the epoch'),
  unknownKey: refusal('invalid', 'the key is unknown or revoked'),
};

function refusal(
  reason: CredentialRefusal['reason'],
  description: string,
): Readonly<CredentialRefusal> {
  return Object.freeze({ reason, description });
}

/**
 * The WWW-Authenticate header of a 401 (RFC 6750, 3.1). Without credentials there is no error code:
 * the client may not know yet that it needs some.
 */
export function challengeOf({ reason, description }: CredentialRefusal): string {
  const realm = 'Bearer realm="flashdrop"';
  if (reason === 'missing') return realm;
  return `${realm}, error="invalid_token", error_description="${description}"`;
}
