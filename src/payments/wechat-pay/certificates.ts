import { createPublicKey, type KeyObject, X509Certificate } from 'node:crypto';
import type { Clock } from '../../domain/clock.ts';
import { type Fields, fieldsOf, isFields, parseFields, textOf } from '../json.ts';
import type { Http } from './http.ts';
import { decrypt, isFresh, type Signed, signedOf, verifies } from './signing.ts';

/** WeChat Pay's public keys, by serial number. */
export type Certificates = {
  /** Whether WeChat Pay signed this. For a serial number that is not known the list is fetched. */
  trusts(signed: Signed): Promise<boolean>;
};

type Certificate = { key: KeyObject; from: number; until: number };

const refreshTimeoutMs = 3_000;
/** The list is not fetched again sooner: anybody can send unknown serial numbers, at any rate. */
const refreshGapMs = { afterSuccess: 60_000, afterFailure: 5_000 };
/** WeChat Pay asks merchants to fetch the list at least this often. */
const ageMsMax = 12 * 3_600_000;

/**
 * Keeps the platform certificates that GET /v3/certificates lists, and WeChat Pay's public key for
 * merchants who have that instead. The list is trusted because it is encrypted under the APIv3 key and
 * signed with one of the certificates in it.
 */
export function openCertificates(options: {
  http: Http;
  apiKey: string;
  publicKey?: { id: string; pem: string } | undefined;
  clock: Clock;
}): Certificates {
  const { http, apiKey, clock } = options;
  const own = options.publicKey && {
    id: options.publicKey.id,
    key: createPublicKey(options.publicKey.pem),
  };
  let known = new Map<string, Certificate>();
  let refreshing: Promise<void> | undefined;
  let nextRefreshAt = 0;
  let listedAt = 0;

  async function trusts(signed: Signed): Promise<boolean> {
    const key = await keyOf(signed.serial);
    return key !== undefined && verifies(signed, key);
  }

  async function keyOf(serial: string): Promise<KeyObject | undefined> {
    if (own?.id === serial) return own.key;
    // Ids of public keys (PUB_KEY_ID_…) are never in the list.
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

  /** Fetches the list; callers at the same time wait for one fetch. */
  async function refresh(): Promise<void> {
    if (refreshing) return await refreshing;
    if (clock.now() < nextRefreshAt) return;
    refreshing = fetchList().finally(() => {
      refreshing = undefined;
    });
    await refreshing;
  }

  async function fetchList(): Promise<void> {
    const listed = await list();
    if (listed) {
      known = listed;
      listedAt = clock.now();
    }
    nextRefreshAt = clock.now() + (listed ? refreshGapMs.afterSuccess : refreshGapMs.afterFailure);
  }

  async function list(): Promise<Map<string, Certificate> | undefined> {
    try {
      const request = { method: 'GET', path: '/v3/certificates' } as const;
      const reply = await http.send(request, { timeoutMs: refreshTimeoutMs });
      const signed = signedOf(reply.header, reply.body);
      if (reply.status !== 200 || !signed || !isFresh(signed, clock.now())) return undefined;
      const entries = parseFields(reply.body.toString())?.['data'];
      if (!Array.isArray(entries)) return undefined;
      const listed = new Map(
        entries.map((entry) => certificateIn(isFields(entry) ? entry : {}, apiKey)),
      );
      const signer = own?.id === signed.serial ? own : listed.get(serialOf(signed.serial));
      return signer && verifies(signed, signer.key) ? listed : undefined;
    } catch {
      return undefined;
    }
  }

  return { trusts };
}

/**
 * A certificate of the list.
 * @throws Error when it cannot be decrypted or has another serial number than its entry says
 */
function certificateIn(entry: Fields, apiKey: string): [serial: string, Certificate] {
  const encrypted = fieldsOf(entry, 'encrypt_certificate');
  const pem = decrypt(
    {
      ciphertext: textOf(encrypted, 'ciphertext') ?? '',
      nonce: textOf(encrypted, 'nonce') ?? '',
      associatedData: textOf(encrypted, 'associated_data') ?? '',
    },
    apiKey,
  );
  const { serialNumber, publicKey, validFromDate, validToDate } = new X509Certificate(pem);
  const serial = serialOf(textOf(entry, 'serial_no') ?? '');
  if (serial !== serialOf(serialNumber))
    throw new Error('a certificate with another serial number');
  return [serial, { key: publicKey, from: validFromDate.getTime(), until: validToDate.getTime() }];
}

function serialOf(text: string): string {
  return text.toUpperCase().replace(/^0+/, '');
}
