import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';

/** A key pair with its self-signed certificate. */
export type Identity = {
  /** 40 hexadecimal digits. */
  serial: string;
  privateKey: KeyObject;
  publicKey: KeyObject;
  /** PEM. */
  certificate: string;
  from: Date;
  until: Date;
};

const dayMs = 24 * 3_600_000;

/** Makes a key pair and a certificate signed with itself, valid for five years by default. */
export function newIdentity(
  commonName: string,
  validity: { from?: Date; until?: Date } = {},
): Identity {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const { from = new Date(Date.now() - dayMs), until = new Date(Date.now() + 1_825 * dayMs) } =
    validity;
  const serial = randomBytes(20);
  // Positive, and never with a leading zero: so it is always written in 40 digits.
  serial[0] = ((serial[0] ?? 0) & 0x6f) | 0x10;
  const name = sequence(set(sequence(oid(commonNameOid), der(0x0c, Buffer.from(commonName)))));
  const toBeSigned = sequence(
    der(0x02, serial),
    algorithm,
    name,
    sequence(time(from), time(until)),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
  );
  const signature = sign('sha256', toBeSigned, privateKey);
  const whole = sequence(toBeSigned, algorithm, der(0x03, Buffer.concat([zero, signature])));
  const lines = whole.toString('base64').replace(/.{64}/g, '$&\n').trimEnd();
  return {
    serial: serial.toString('hex').toUpperCase(),
    privateKey,
    publicKey,
    from,
    until,
    certificate: `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`,
  };
}

// node:crypto reads X.509 and does not write it. These few shapes of DER (ITU-T X.690) are all
// that a certificate of version 1 is made of (RFC 5280, section 4.1).

const commonNameOid = '550403'; // 2.5.4.3
const sha256WithRsaOid = '2a864886f70d01010b'; // 1.2.840.113549.1.1.11
const zero = Buffer.alloc(1);
const algorithm = sequence(oid(sha256WithRsaOid), der(0x05, Buffer.alloc(0)));

function der(tag: number, content: Buffer): Buffer {
  return Buffer.concat([Buffer.of(tag), lengthOf(content), content]);
}

function lengthOf({ length }: Buffer): Buffer {
  if (length < 0x80) return Buffer.of(length);
  if (length < 0x100) return Buffer.of(0x81, length);
  return Buffer.of(0x82, length >> 8, length & 0xff);
}

function sequence(...parts: Buffer[]): Buffer {
  return der(0x30, Buffer.concat(parts));
}

function set(part: Buffer): Buffer {
  return der(0x31, part);
}

function oid(hex: string): Buffer {
  return der(0x06, Buffer.from(hex, 'hex'));
}

/** A UTCTime: YYMMDDhhmmssZ. */
function time(at: Date): Buffer {
  const digits = at.toISOString().replace(/\D/g, '').slice(2, 14);
  return der(0x17, Buffer.from(`${digits}Z`));
}
