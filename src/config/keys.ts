import {
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  type PrivateKeyInput,
  type PublicKeyInput,
  X509Certificate,
} from 'node:crypto';
import { readFileSync } from 'node:fs';
import { decoded } from './env-file.mjs';
import type { Kind } from './settings.ts';

/** An RSA private key in any form that a provider hands it out in, as PEM of PKCS#8. */
export const privateKeyPem: Kind<string> = pem('an RSA private key', privateKeyIn);

/** An RSA public key in any form that a provider hands it out in, as PEM. */
export const publicKeyPem: Kind<string> = pem('an RSA public key', publicKeyIn);

/**
 * Whether a public key is the one of a private key, both PEM: what is entered then is the merchant's
 * own key, where the provider's is asked for.
 */
export function isOwnKey(publicKey: string, privateKey: string): boolean {
  return createPublicKey(publicKey).equals(createPublicKey(privateKey));
}

function pem(what: string, keyIn: (der: Buffer) => KeyObject | undefined): Kind<string> {
  const read = (text: string): KeyObject | undefined => {
    const keys = dersIn(textOf(text) ?? '').map(keyIn);
    return keys.find((key) => key?.asymmetricKeyType === 'rsa');
  };
  return {
    allowed: `${what} as PEM or as base64 alone, its line breaks may be written \\n, or the path of a file that holds it`,
    secret: true,
    parse(text) {
      const key = read(text);
      const type = key?.type === 'private' ? 'pkcs8' : 'spki';
      return key?.export({ type, format: 'pem' }).toString();
    },
    fault(text) {
      const content = textOf(text);
      if (content === undefined) return 'the path of no file that can be read';
      if (/ENCRYPTED/.test(content)) return 'a private key under a password';
      const ders = dersIn(content);
      if (ders.some(privateKeyIn)) return 'a private key';
      return ders.some(publicKeyIn) ? 'a public key' : undefined;
    },
  };
}

/** The text of a key: what is written, or the content of the file that it names. */
function textOf(text: string): string | undefined {
  if (isKeyText(text)) return text;
  try {
    const content = decoded(readFileSync(text));
    return content?.trim();
  } catch {
    return undefined;
  }
}

/** A base64 text is told from a path by its length: no RSA key has fewer characters. */
function isKeyText(text: string): boolean {
  return text.includes('-----BEGIN') || /^[A-Za-z0-9+/=\s\\]{120,}$/.test(text);
}

/** The bytes of each block of PEM, or of base64 alone; line breaks may be in any spelling. */
function dersIn(text: string): Buffer[] {
  const blocks = [...text.matchAll(/-----BEGIN[A-Z0-9 ]*-----(.*?)-----END/gs)];
  const bodies = blocks.length > 0 ? blocks.map(([, body = '']) => body) : [text];
  return bodies
    .map((body) => body.replaceAll(/\\[nr]|[\s\\"']/g, ''))
    .filter((base64) => /^[A-Za-z0-9+/]+={0,2}$/.test(base64))
    .map((base64) => Buffer.from(base64, 'base64'));
}

/** The bytes tell PKCS#8 from PKCS#1, whatever the line of dashes says. */
function privateKeyIn(key: Buffer): KeyObject | undefined {
  const read = (type: NonNullable<PrivateKeyInput['type']>) => () =>
    createPrivateKey({ key, format: 'der', type });
  return firstThatReads(read('pkcs8'), read('pkcs1'));
}

function publicKeyIn(key: Buffer): KeyObject | undefined {
  // Node would derive the public key of a private one.
  if (privateKeyIn(key)) return undefined;
  const read = (type: NonNullable<PublicKeyInput['type']>) => () =>
    createPublicKey({ key, format: 'der', type });
  return firstThatReads(read('spki'), read('pkcs1'), () => new X509Certificate(key).publicKey);
}

function firstThatReads(...reads: (() => KeyObject)[]): KeyObject | undefined {
  for (const read of reads) {
    try {
      return read();
    } catch {
      // The bytes are of another type.
    }
  }
  return undefined;
}
