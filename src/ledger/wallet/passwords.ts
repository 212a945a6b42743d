import { type Clock, systemClock } from '../../domain/clock.ts';
import type { BuyerId } from '../../domain/ids.ts';
import { isWeakPassword } from '../../domain/payment-password.ts';
import type { Database } from '../database/database.ts';
import { openPasswordHashing, type PasswordHashing } from './password-hash.ts';

/** Wrong passwords in a row; the last of them locks the password. */
export const passwordTriesMax = 5;
export const passwordLockMs = 3 * 3_600_000;

export type PasswordCheck = { kind: 'right' } | PasswordRefusal;

export type PasswordRefusal =
  | { kind: 'wrong'; triesLeft: number }
  /** Nothing was compared. */
  | { kind: 'locked'; untilMs: number }
  | { kind: 'not_set' };

export type PasswordSetting =
  | { kind: 'done' }
  /** `current` is not the password that is set. */
  | { kind: 'wrong'; triesLeft: number }
  | { kind: 'locked'; untilMs: number }
  /** There is a password already: it is changed with `current` alone. */
  | { kind: 'current_needed' }
  | { kind: 'weak' };

export type WalletPasswords = ReturnType<typeof openWalletPasswords>;

/**
 * Payment passwords of buyers. One statement takes a try from the buyer's tries before the hash is
 * compared, so of a thousand guesses at once five are compared. A right password gives the tries back;
 * a buyer who sends more than five right ones at once may get `locked` for a moment.
 */
export function openWalletPasswords(
  database: Database,
  options: { clock?: Clock; hashing?: PasswordHashing; lockMs?: number } = {},
) {
  const { clock = systemClock, hashing = openPasswordHashing(), lockMs = passwordLockMs } = options;

  /** @throws QueueFull when too many are being compared; no try was taken then */
  async function check(buyer: BuyerId, password: string): Promise<PasswordCheck> {
    return await hashing.within(async () => {
      const compared = await compare(buyer, password);
      if (compared.kind !== 'right') return compared;
      const hash = compared.outdated ? await hashing.hash(password) : compared.hash;
      await replace(buyer, { from: compared.hash, to: hash });
      return { kind: 'right' };
    });
  }

  /**
   * Sets a buyer's first password, or changes it when `current` is the one that is set.
   * @throws QueueFull as `check` does
   */
  async function set(wanted: {
    buyer: BuyerId;
    password: string;
    current?: string | undefined;
  }): Promise<PasswordSetting> {
    const { buyer, password, current } = wanted;
    if (isWeakPassword(password)) return { kind: 'weak' };
    return await hashing.within(async () => {
      const isSet = (await state(buyer)).set;
      if (!isSet) return await setFirst(buyer, password);
      if (current === undefined) return { kind: 'current_needed' };
      const compared = await compare(buyer, current);
      if (compared.kind === 'not_set') return { kind: 'current_needed' };
      if (compared.kind !== 'right') return compared;
      const changes = { from: compared.hash, to: await hashing.hash(password) };
      const isChanged = await replace(buyer, changes);
      // A concurrent request has changed the password since it was compared.
      return isChanged ? { kind: 'done' } : { kind: 'wrong', triesLeft: passwordTriesMax };
    });
  }

  /** Whether a password is set, and until when it is locked, ms since the epoch. */
  async function state(buyer: BuyerId): Promise<{ set: boolean; lockedUntil?: number }> {
    const [row] = await database.query<{ lockedUntil: number | null }>(
      'select locked_until as "lockedUntil" from wallet_passwords where buyer = $1',
      [buyer],
    );
    const lockedUntil = row?.lockedUntil ?? 0;
    return { set: row !== undefined, ...(lockedUntil > clock.now() ? { lockedUntil } : {}) };
  }

  async function compare(buyer: BuyerId, password: string): Promise<Compared> {
    const now = clock.now();
    const [taken] = await database.query<{ hash: string; tries: number }>(takeSql, [
      ...[buyer, now, passwordTriesMax, now + lockMs],
    ]);
    if (!taken) {
      const { set: isSet, lockedUntil = now } = await state(buyer);
      return isSet ? { kind: 'locked', untilMs: lockedUntil } : { kind: 'not_set' };
    }
    const { hash, tries } = taken;
    const { right, outdated } = await hashing.compare(password, hash);
    return right
      ? { kind: 'right', hash, outdated }
      : { kind: 'wrong', triesLeft: passwordTriesMax - tries };
  }

  async function setFirst(buyer: BuyerId, password: string): Promise<PasswordSetting> {
    const rows = await database.query(
      `insert into wallet_passwords (buyer, hash, set_at) values ($1, $2, $3)
       on conflict do nothing returning buyer`,
      [buyer, await hashing.hash(password), clock.now()],
    );
    return { kind: rows.length > 0 ? 'done' : 'current_needed' };
  }

  /** Gives the tries back and sets a new hash, if the stored hash is still the one that was compared. */
  async function replace(buyer: BuyerId, hash: { from: string; to: string }): Promise<boolean> {
    const rows = await database.query(
      `update wallet_passwords set hash = $3, tries = 0, locked_until = null,
         set_at = case when hash = $3 then set_at else $4 end
       where buyer = $1 and hash = $2 returning buyer`,
      [buyer, hash.from, hash.to, clock.now()],
    );
    return rows.length > 0;
  }

  return { check, set, state };
}

type Compared = PasswordRefusal | { kind: 'right'; hash: string; outdated: boolean };

/** Takes a try, if one is left or the lock has ended; the last try locks before it is compared. */
const takeSql = `
  update wallet_passwords set
    tries = case when tries >= $3 then 1 else tries + 1 end,
    locked_until = case when tries = $3 - 1 then $4::bigint end
  where buyer = $1 and (tries < $3 or coalesce(locked_until, 0) <= $2)
  returning hash, tries`;
