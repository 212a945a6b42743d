import { createPublicKey, type KeyObject, X509Certificate } from 'node:crypto';
import type { Clock } from '../../domain/clock.ts';
import type { Exchange } from './exchange.ts';
import { asFields, type Fields, parsedFields, textOf, within } from './json.ts';
import { isFresh, type Signed, signedOf, unseal, verifies } from './signing.ts';

/** The keys by which WeChat Pay signs, found by their serial numbers. */
export type Certificates = {
  /** Whether WeChat Pay signed this. A serial not seen before makes us ask for the list once. */
  trusts(signed: Signed): Promise<boolean>;
};

type Certificate = { key: KeyObject; from: number; until: number };

const refreshTimeoutMs = 3_000;
/** How soon the list is asked for again: strangers can name serials as fast as they like. */
const gapMs = { afterSuccess: 60_000, afterFailure: 5_000 };
/** WeChat Pay asks for a look at the list at least this often. */
const ageMsMax = 12 * 3_600_000;

/**
 * Keeps the platform certificates that GET /v3/certificates lists, and the public key of a merchant
 * who has one instead. The list is believed because it is sealed under the APIv3 key, and signed by
 * one of the certificates in it.
 */
export function openCertificates(options: {
  exchange: Exchange;
  apiKey: string;
  publicKey?: { id: string; pem: string } | undefined;
  clock: Clock;
}): Certificates {
  const { exchange, apiKey, clock } = options;
  const own = options.publicKey && {
    id: options.publicKey.id,
    key: createPublicKey(options.publicKey.pem),
  };
  let known = new Map<string, Certificate>();
  let flight: Promise<void> | undefined;
  let nextRefreshAt = 0;
  let listedAt = 0;

  async function trusts(signed: Signed): Promise<boolean> {
    const key = await keyOf(signed.serial);
    return key !== undefined && verifies(signed, key);
  }

  async function keyOf(serial: string): Promise<KeyObject | undefined> {
    if (own?.id === serial) return own.key;
    // The id of a public key is never in the list.
    if (!/^[0-9A-F]{8,64}$/i.test(serial)) return undefined;
    const found = valid(serial);
    if (!found) await refresh();
    else if (clock.now() - listedAt > ageMsMax) void refresh();
    return found ?? valid(serial);
  }

  function valid(serial: string): KeyObject | undefined {
    const certificate = known.get(serialOf(serial));
    const now = clock.now();
    if (!certificate || now < certificate.from || now > certificate.until) return undefined;
    return certificate.key;
  }

  /** One flight at a time, which those who come meanwhile wait for. */
  async function refresh(): Promise<void> {
    if (flight) return await flight;
    if (clock.now() < nextRefreshAt) return;
    flight = list()
      .then((listed) => {
        if (listed) [known, listedAt] = [listed, clock.now()];
        nextRefreshAt = clock.now() + (listed ? gapMs.afterSuccess : gapMs.afterFailure);
      })
      .finally(() => {
        flight = undefined;
      });
    await flight;
  }

  async function list(): Promise<Map<string, Certificate> | undefined> {
    try {
      const request = { method: 'GET', path: '/v3/certificates' } as const;
      const reply = await exchange.send(request, { timeoutMs: refreshTimeoutMs });
      const signed = signedOf(reply.header, reply.body);
      if (reply.status !== 200 || !signed || !isFresh(signed, clock.now())) return undefined;
      const entries = parsedFields(reply.body.toString())?.['data'];
      if (!Array.isArray(entries)) return undefined;
      const listed = new Map(entries.map((entry) => opened(asFields(entry) ?? {}, apiKey)));
      const signer = own?.id === signed.serial ? own : listed.get(serialOf(signed.serial));
      return signer && verifies(signed, signer.key) ? listed : undefined;
    } catch {
      return undefined;
    }
  }

  return { trusts };
}

/** A certificate from the list; throws when it is not what its entry says. */
function opened(entry: Fields, apiKey: string): [serial: string, Certificate] {
  const sealed = within(entry, 'encrypt_certificate');
  const pem = unseal(
    {
      ciphertext: textOf(sealed, 'ciphertext') ?? '',
      nonce: textOf(sealed, 'nonce') ?? '',
      associatedData: textOf(sealed, 'associated_data') ?? '',
    },
    apiKey,
  );
  const { serialNumber, publicKey, validFromDate, validToDate } = new X509Certificate(pem);
  const serial = serialOf(textOf(entry, 'serial_no') ?? '');
  if (serial !== serialOf(serialNumber)) throw new Error('a certificate under another serial');
  return [serial, { key: publicKey, from: validFromDate.getTime(), until: validToDate.getTime() }];
}

function serialOf(text: string): string {
  return text.toUpperCase().replace(/^0+/, '');
}
