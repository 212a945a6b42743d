import { hash } from 'node:crypto';
import { type Clock, systemClock } from '../../domain/clock.ts';
import type { BuyerId, TopUpId } from '../../domain/ids.ts';
import type { Database } from '../database/database.ts';

/** Money that a buyer adds to the wallet through another provider. */
export type TopUpOrder = {
  /** `top_` and a digest. Its payment has this id in place of an order's. */
  id: TopUpId;
  buyer: BuyerId;
  amount: number;
  currency: string;
  createdAt: number;
  creditedAt: number | null;
};

export type TopUps = ReturnType<typeof openTopUps>;

const columns = `id, buyer, amount, currency, created_at as "createdAt", credited_at as "creditedAt"`;

export function isTopUpId(id: string): id is TopUpId {
  return /^top_[A-Za-z0-9_-]{22}$/.test(id);
}

export function topUpId(buyer: BuyerId, key: string): TopUpId {
  return `top_${hash('sha256', `${buyer}\0${key}`, 'base64url').slice(0, 22)}` as TopUpId;
}

/** Top-ups that are paid through another provider, from the request to the credit. */
export function openTopUps(database: Database, clock: Clock = systemClock) {
  async function find(ids: readonly TopUpId[]): Promise<TopUpOrder[]> {
    if (ids.length === 0) return [];
    return await database.query<TopUpOrder>(
      `select ${columns} from topups where id = any($1::text[]) order by id`,
      [ids],
    );
  }

  return {
    find,

    /**
     * Creates one top-up for each key of a buyer; `reused` when the key belongs to a different one,
     * `too_many` when the buyer has made `openMax` since an instant that are not credited.
     */
    async create(
      wanted: Pick<TopUpOrder, 'buyer' | 'amount' | 'currency'> & { key: string },
      { openMax, since }: { openMax: number; since: number },
    ): Promise<{ kind: 'done'; topUp: TopUpOrder } | { kind: 'reused' | 'too_many' }> {
      const { buyer, amount, currency, key } = wanted;
      const id = topUpId(buyer, key);
      await database.query(
        `insert into topups (id, buyer, amount, currency, created_at)
         select $1, $2, $3, $4, $5 where $6 > (select count(*) from topups
           where buyer = $2 and created_at > $7 and credited_at is null)
         on conflict do nothing`,
        [id, buyer, amount, currency, clock.now(), openMax, since],
      );
      const [topUp] = await find([id]);
      if (!topUp) return { kind: 'too_many' };
      const same = topUp.amount === amount && topUp.currency === currency;
      return same ? { kind: 'done', topUp } : { kind: 'reused' };
    },

    async markCredited(ids: readonly TopUpId[]): Promise<void> {
      await database.query(
        'update topups set credited_at = $2 where id = any($1::text[]) and credited_at is null',
        [ids, clock.now()],
      );
    },
  };
}
