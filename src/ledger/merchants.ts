import { hash, randomBytes, timingSafeEqual } from 'node:crypto';
import { type Clock, systemClock } from '../domain/clock.ts';
import { type MerchantId, newId, newMerchantId } from '../domain/ids.ts';
import { required } from '../domain/required.ts';
import type { Database, Query } from './database/database.ts';

export type Merchant = { id: MerchantId; name: string };

export type Merchants = ReturnType<typeof openMerchants>;

const keyPattern = /^fdk_([a-z0-9]{12})_([A-Za-z0-9_-]{43})$/;

/** The id and the secret of an API key; undefined for a text that is none. */
function parseApiKey(apiKey: string): { id: string; secret: string } | undefined {
  const [, id, secret] = keyPattern.exec(apiKey) ?? [];
  return id === undefined || secret === undefined ? undefined : { id, secret };
}

/** A new API key, `fdk_<id>_<secret>`; the secret is 256 random bits. */
export function newApiKey(): string {
  return `fdk_${newId('').slice(1)}_${randomBytes(32).toString('base64url')}`;
}

/** Merchants and their API keys, `fdk_<id>_<secret>`; the secret is stored as a hash only. */
export function openMerchants(database: Database, clock: Clock = systemClock) {
  /** Creates a merchant with a first key, which cannot be read again later. */
  async function create(options: {
    name: string;
  }): Promise<{ merchant: Merchant; apiKey: string }> {
    const apiKey = newApiKey();
    return { merchant: await adopt({ name: options.name, apiKey }), apiKey };
  }

  /** The merchant of a key from `newApiKey`; created with this name when the key is new. */
  async function adopt(options: { name: string; apiKey: string }): Promise<Merchant> {
    const known = await verify(options.apiKey);
    if (known !== undefined) return required(await get(known), `merchant ${known}`);
    const merchant = { id: newMerchantId(), name: options.name };
    await database.transaction(async (query) => {
      await query('insert into merchants (id, name, created_at) values ($1, $2, $3)', [
        merchant.id,
        merchant.name,
        clock.now(),
      ]);
      await addKey(query, { merchantId: merchant.id, apiKey: options.apiKey });
    });
    return merchant;
  }

  /** Issues a further key, so that a merchant can change keys without an interruption. */
  async function issueKey(merchantId: MerchantId): Promise<string> {
    const apiKey = newApiKey();
    await addKey(database.query, { merchantId, apiKey });
    return apiKey;
  }

  async function addKey(
    query: Query,
    key: { merchantId: MerchantId; apiKey: string },
  ): Promise<void> {
    const { id, secret } = required(parseApiKey(key.apiKey), 'id in an API key of newApiKey');
    await query(
      'insert into api_keys (id, merchant_id, secret_sha256, created_at) values ($1, $2, $3, $4)',
      [id, key.merchantId, hash('sha256', secret, 'hex'), clock.now()],
    );
  }

  /** The id of the merchant whose key this is; undefined for a wrong or revoked key. */
  async function verify(apiKey: string): Promise<MerchantId | undefined> {
    const [merchantId] = await verifyAll([apiKey]);
    return merchantId;
  }

  /** The same for many keys at once, in their order, by one statement. */
  async function verifyAll(apiKeys: readonly string[]): Promise<(MerchantId | undefined)[]> {
    const keys = apiKeys.map(parseApiKey);
    const ids = keys.flatMap((key) => (key ? [key.id] : []));
    if (ids.length === 0) return keys.map(() => undefined);
    const rows = await database.query<KeyRow>(
      `select id, merchant_id, secret_sha256 from api_keys
       where id = any($1::text[]) and revoked_at is null`,
      [ids],
    );
    const byId = new Map(rows.map((row) => [row.id, row]));
    return keys.map((key) => key && ownerOf(key, byId.get(key.id)));
  }

  /** Revokes a key at once; false when it is unknown or revoked already. */
  async function revoke(apiKey: string): Promise<boolean> {
    const id = parseApiKey(apiKey)?.id;
    const rows = await database.query(
      'update api_keys set revoked_at = $2 where id = $1 and revoked_at is null returning id',
      [id ?? '', clock.now()],
    );
    return rows.length > 0;
  }

  /** The merchant of an id. */
  async function get(id: string): Promise<Merchant | undefined> {
    const [row] = await database.query<Merchant>('select id, name from merchants where id = $1', [
      id,
    ]);
    return row;
  }

  /** The same for many ids at once, in their order, by one statement. */
  async function getAll(ids: readonly string[]): Promise<(Merchant | undefined)[]> {
    const rows = await database.query<Merchant>(
      'select id, name from merchants where id = any($1::text[])',
      [ids],
    );
    const byId = new Map<string, Merchant>(rows.map((row) => [row.id, row]));
    return ids.map((id) => byId.get(id));
  }

  return { create, adopt, issueKey, verify, verifyAll, revoke, get, getAll };
}

type KeyRow = { id: string; merchant_id: MerchantId; secret_sha256: string };

function ownerOf({ secret }: { secret: string }, row: KeyRow | undefined): MerchantId | undefined {
  const digest = hash('sha256', secret, 'buffer');
  // An unknown id is compared with something too, so that both answers take equally long.
  const stored = row ? Buffer.from(row.secret_sha256, 'hex') : Buffer.alloc(32);
  return timingSafeEqual(digest, stored) ? row?.merchant_id : undefined;
}
