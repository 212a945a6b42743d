import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Kind } from './settings.ts';

/** An RSA private key as PEM, or the path of a file that holds one. */
export const privateKeyPem: Kind<string> = pem('an RSA private key', (text) => {
  return createPrivateKey(text).asymmetricKeyType === 'rsa';
});

/** An RSA public key as PEM, or the path of a file that holds one. */
export const publicKeyPem: Kind<string> = pem('an RSA public key', (text) => {
  return createPublicKey(text).asymmetricKeyType === 'rsa';
});

/** An X.509 certificate as PEM, or the path of a file that holds one. */
export const certificatePem: Kind<string> = pem('a certificate', (text) => {
  return new X509Certificate(text).publicKey.asymmetricKeyType === 'rsa';
});

function pem(what: string, isOne: (text: string) => boolean): Kind<string> {
  return {
    allowed: `${what} as PEM, its line breaks may be written \\n, or the path of a file that holds it`,
    secret: true,
    parse(text) {
      try {
        const pem = text.includes('-----BEGIN')
          ? text.replaceAll('\\n', '\n')
          : readFileSync(text, 'utf8');
        return isOne(pem) ? pem : undefined;
      } catch {
        return undefined;
      }
    },
  };
}
