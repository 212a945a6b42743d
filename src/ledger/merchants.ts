import { hash, randomBytes, timingSafeEqual } from 'node:crypto';
import { type Clock, systemClock } from '../domain/clock.ts';
import { newId } from '../domain/ids.ts';
import type { Database, Query } from './database/database.ts';

export type Merchant = { id: string; name: string };

export type Merchants = ReturnType<typeof openMerchants>;

const keyPattern = /^fdk_([a-z0-9]{12})_([A-Za-z0-9_-]{43})$/;

/** A fresh API key, `fdk_<id>_<secret>`; the secret is 256 random bits. */
export function newApiKey(): string {
  return `fdk_${newId('').slice(1)}_${randomBytes(32).toString('base64url')}`;
}

/** Merchants and their API keys, `fdk_<id>_<secret>`; of the secret only a hash is kept. */
export function openMerchants(database: Database, clock: Clock = systemClock) {
  /** A merchant with a first key. The key is shown this once and cannot be read again. */
  async function create(options: {
    name: string;
  }): Promise<{ merchant: Merchant; apiKey: string }> {
    const apiKey = newApiKey();
    return { merchant: await adopt({ name: options.name, apiKey }), apiKey };
  }

  /** The merchant of a key made by `newApiKey`; made under this name when the key is new. */
  async function adopt(options: { name: string; apiKey: string }): Promise<Merchant> {
    const known = await verify(options.apiKey);
    if (known !== undefined) return (await get(known)) as Merchant;
    const merchant = { id: newId('mer'), name: options.name };
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

  /** A further key for a merchant, so that a key can be changed without a gap. */
  async function issueKey(merchantId: string): Promise<string> {
    const apiKey = newApiKey();
    await addKey(database.query, { merchantId, apiKey });
    return apiKey;
  }

  async function addKey(query: Query, key: { merchantId: string; apiKey: string }): Promise<void> {
    const match = keyPattern.exec(key.apiKey);
    if (!match) throw new Error('bug: not an API key made by newApiKey');
    await query(
      'insert into api_keys (id, merchant_id, secret_sha256, created_at) values ($1, $2, $3, $4)',
      [match[1], key.merchantId, hash('sha256', match[2] as string, 'hex'), clock.now()],
    );
  }

  /** The id of the merchant whose key this is; undefined for a wrong or revoked key. */
  async function verify(apiKey: string): Promise<string | undefined> {
    const match = keyPattern.exec(apiKey);
    if (!match) return undefined;
    const [row] = await database.query<{ merchant_id: string; secret_sha256: string }>(
      'select merchant_id, secret_sha256 from api_keys where id = $1 and revoked_at is null',
      [match[1]],
    );
    const digest = hash('sha256', match[2] as string, 'buffer');
    // Compared against something even when the id is unknown, so that both answers take as long.
    const stored = row ? Buffer.from(row.secret_sha256, 'hex') : Buffer.alloc(32);
    return timingSafeEqual(digest, stored) ? row?.merchant_id : undefined;
  }

  /** Ends a key at once; false when it is no living key. */
  async function revoke(apiKey: string): Promise<boolean> {
    const id = keyPattern.exec(apiKey)?.[1];
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

  return { create, adopt, issueKey, verify, revoke, get };
}
