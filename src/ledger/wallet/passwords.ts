import { type Clock, systemClock } from '../../domain/clock.ts';
import type { BuyerId } from '../../domain/ids.ts';
import { isWeakPassword } from '../../domain/payment-password.ts';
import type { Database } from '../database/database.ts';
import { type HashPurpose, openPasswordHashing, type PasswordHashing } from './password-hash.ts';

/** Wrong passwords in a row; the last of them locks the password. */
export const passwordTriesMax = 5;
/** The first lock. Each further one without a right password between is twice as long, up to a day. */
export const passwordLockMs = 3 * 3_600_000;
const lockDoublingsMax = 3;

/** Comparisons of one buyer's password in a window, right and wrong ones. */
export const comparisonsMax = 20;
export const comparisonsWindowMs = 600_000;
/** After this time a comparison is taken for lost, with the process that ran it. */
const comparisonMsMax = 30_000;
/** A comparison ends within tenths of a second, unless many wait. */
const busyRetryMs = 1_000;

export type PasswordCheck = { kind: 'right' } | PasswordRefusal;

export type PasswordRefusal =
  | { kind: 'wrong'; triesLeft: number }
  /** Nothing was compared. */
  | { kind: 'locked'; untilMs: number }
  /** Nothing was compared, and no try was taken: another comparison runs, or there were too many. */
  | { kind: 'busy'; retryAfterMs: number }
  | { kind: 'not_set' };

export type PasswordSetting =
  | { kind: 'done' }
  /** `current` is not the password that is set. */
  | { kind: 'wrong'; triesLeft: number }
  | { kind: 'locked'; untilMs: number }
  | { kind: 'busy'; retryAfterMs: number }
  /** There is a password already: it is changed with `current` alone. */
  | { kind: 'current_needed' }
  | { kind: 'weak' };

export type WalletPasswords = ReturnType<typeof openWalletPasswords>;

/**
 * Payment passwords of buyers. One statement takes a try from the buyer's tries before the hash is
 * compared, so of a thousand guesses at once, and of all that follow, five are compared. It also lets
 * one comparison of a buyer run at a time, and so many in a window: a right password gives the tries
 * back, and the processor's time that it cost is gone all the same.
 */
export function openWalletPasswords(
  database: Database,
  options: { clock?: Clock; hashing?: PasswordHashing; lockMs?: number } = {},
) {
  const { clock = systemClock, hashing = openPasswordHashing(), lockMs = passwordLockMs } = options;

  /** @throws QueueFull when too many are being compared; no try was taken then */
  async function check(buyer: BuyerId, password: string): Promise<PasswordCheck> {
    return await hashing.within('payment', async () => {
      const compared = await compare(buyer, password, 'payment');
      if (compared.kind !== 'right') return compared;
      const hash = compared.outdated ? await hashing.hash(password, 'payment') : compared.hash;
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
    return await hashing.within('setting', async () => {
      const isSet = (await state(buyer)).set;
      if (!isSet) return await setFirst(buyer, password);
      if (current === undefined) return { kind: 'current_needed' };
      const compared = await compare(buyer, current, 'setting');
      if (compared.kind === 'not_set') return { kind: 'current_needed' };
      if (compared.kind !== 'right') return compared;
      const changes = { from: compared.hash, to: await hashing.hash(password, 'setting') };
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

  async function compare(
    buyer: BuyerId,
    password: string,
    purpose: HashPurpose,
  ): Promise<Compared> {
    const now = clock.now();
    const [taken] = await database.query<{ hash: string; tries: number }>(takeSql, [
      ...[buyer, now, passwordTriesMax, lockMs, lockDoublingsMax],
      ...[now + comparisonMsMax, now - comparisonsWindowMs, comparisonsMax],
    ]);
    if (!taken) return await whyNot(buyer, now);
    const { hash, tries } = taken;
    let isRight = false;
    try {
      const { right, outdated } = await hashing.compare(password, hash, purpose);
      isRight = right;
      if (right) return { kind: 'right', hash, outdated };
    } finally {
      // After a right password the caller ends the comparison, with the tries that it gives back.
      if (!isRight) await database.query(endSql, [buyer]);
    }
    return { kind: 'wrong', triesLeft: passwordTriesMax - tries };
  }

  /** Why no try could be taken. */
  async function whyNot(buyer: BuyerId, now: number): Promise<PasswordRefusal> {
    const [row] = await database.query<{ tries: number; lockedUntil: number; freeAt: number }>(
      `select tries, coalesce(locked_until, 0) as "lockedUntil",
         case when compared >= $2 then window_from + $3 else 0 end as "freeAt"
       from wallet_passwords where buyer = $1`,
      [buyer, comparisonsMax, comparisonsWindowMs],
    );
    if (!row) return { kind: 'not_set' };
    const { tries, lockedUntil, freeAt } = row;
    const isLocked = tries >= passwordTriesMax && lockedUntil > now;
    if (isLocked) return { kind: 'locked', untilMs: lockedUntil };
    return { kind: 'busy', retryAfterMs: Math.max(freeAt - now, busyRetryMs) };
  }

  async function setFirst(buyer: BuyerId, password: string): Promise<PasswordSetting> {
    const rows = await database.query(
      `insert into wallet_passwords (buyer, hash, set_at) values ($1, $2, $3)
       on conflict do nothing returning buyer`,
      [buyer, await hashing.hash(password, 'setting'), clock.now()],
    );
    return { kind: rows.length > 0 ? 'done' : 'current_needed' };
  }

  /** Gives the tries back and sets a new hash, if the stored hash is still the one that was compared. */
  async function replace(buyer: BuyerId, hash: { from: string; to: string }): Promise<boolean> {
    const rows = await database.query(
      `update wallet_passwords set hash = $3, tries = 0, locked_until = null, locks = 0,
         comparing_until = null,
         set_at = case when hash = $3 then set_at else $4 end
       where buyer = $1 and hash = $2 returning buyer`,
      [buyer, hash.from, hash.to, clock.now()],
    );
    return rows.length > 0;
  }

  return { check, set, state };
}

type Compared = PasswordRefusal | { kind: 'right'; hash: string; outdated: boolean };

const endSql = 'update wallet_passwords set comparing_until = null where buyer = $1';

/**
 * Takes a try, if one is left or the lock has ended, no comparison runs, and the window has room. The
 * last try locks before it is compared.
 */
const takeSql = `
  update wallet_passwords set
    tries = case when tries >= $3 then 1 else tries + 1 end,
    locks = case when tries = $3 - 1 then locks + 1 else locks end,
    locked_until = case when tries = $3 - 1
      then $2 + $4::bigint * (1 << least(locks, $5::integer)) end,
    comparing_until = $6::bigint,
    window_from = case when window_from <= $7::bigint then $2::bigint else window_from end,
    compared = case when window_from <= $7::bigint then 1 else compared + 1 end
  where buyer = $1 and (tries < $3 or coalesce(locked_until, 0) <= $2::bigint)
    and coalesce(comparing_until, 0) <= $2::bigint
    and (window_from <= $7::bigint or compared < $8)
  returning hash, tries`;
