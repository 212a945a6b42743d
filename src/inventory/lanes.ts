import type { Redis } from 'ioredis';
import type { Drop } from '../domain/drop.ts';
import type { BuyerId, LaneRef } from '../domain/ids.ts';
import type { Order, ReleaseReason } from '../domain/order.ts';
import { type OrderDetails, type PackedDetails, parseDetails } from '../domain/order-details.ts';
import { type LaneKey, laneKey } from './keys.ts';
import { isRedisError, redisErrorCodes } from './redis-errors.ts';
import {
  type Adjusted,
  type Appointed,
  type Confirmed,
  type Deferred,
  type Inspected,
  type Moved,
  methodField,
  parseAdjusted,
  parseInspected,
  parseMoved,
  parseReserved,
  type Refunded,
  type Released,
  type Reserved,
  readRecord,
  type Shortened,
  type Unappointed,
} from './replies.ts';
import { parseWord, readReply } from './reply-reader.ts';
import { openScripts, type ScriptName, scripts, scriptText } from './scripts.ts';

/** The most orders in one script call: keeps calls short and within Lua's limit for unpack. */
export const callOrdersMax = 500;

/** The most buyers in one call of appoint, for the same reasons. */
export const callBuyersMax = 1_000;

/** The largest allotment an item may come to, when created and after any adjustment. */
export const allotmentMax = 10_000_000;

export type Reservation = {
  digest: string;
  buyer: BuyerId;
  /** Position of the item in the drop's list. */
  item: number;
  quantity: number;
  method: string;
  details?: PackedDetails | undefined;
  /** The buyer has to begin the payment; otherwise the engine charges. */
  awaitsBuyer: boolean;
};

/**
 * An edit that a version of a drop carries: it changes the drop's rules alone, or its stock too.
 * `version` is the first that carries it.
 */
export type DropEdit = { changes: 'rules' | 'stock'; version: number };
export type Published = (typeof scripts.publish.replies)[number];

export type Adjustment = { id: string; item: number; delta: number; reason: string };

/**
 * How long after its end a hold is kept from the sweep, ms, or a word about its payment. `failed`: it could
 * not be begun or closed, by no fault of the buyer, so that the order does not count against them when
 * it ends unpaid, or has ended. `payable`: the buyer can pay it now, so that it does.
 */
export type HoldDeferral = { digest: string; to: number | 'failed' | 'payable' };

/** The details that a lane keeps of one order; `unreadable`: what it has there is none of ours. */
export type KeptDetails = OrderDetails | 'unreadable' | undefined;

/**
 * The operations of a lane, each one call of its script. A call rejects only when Redis fails or
 * refuses it; what a script decides is a result. Results are in the order of the request.
 */
export type Lanes = {
  reserve(ref: LaneRef, reservations: Reservation[]): Promise<Reserved[]>;
  confirm(ref: LaneRef, digests: string[]): Promise<Confirmed[]>;
  release(ref: LaneRef, orders: { digest: string; reason: ReleaseReason }[]): Promise<Released[]>;
  refund(ref: LaneRef, digests: string[]): Promise<Refunded[]>;
  /** The same for orders whose units do not go back on sale: they leave the allotment. */
  writeOff(ref: LaneRef, digests: string[]): Promise<Refunded[]>;
  /**
   * Keeps the holds of reserved orders from the sweep for a grace after their end; 0 puts them back to
   * their end. The first grace extends a hold that waited for its buyer to pay. A word changes neither.
   * `refused`: the order is not reserved any more.
   */
  defer(ref: LaneRef, orders: HoldDeferral[]): Promise<Deferred[]>;
  /**
   * Shortens the holds of orders that turned out to await their buyers, to that of an order whose payment
   * is not begun, counted from now.
   */
  shorten(ref: LaneRef, digests: string[]): Promise<Shortened[]>;
  /**
   * Releases due holds, at most `limit`; dueAt is when the next one is due (ms since the epoch). While
   * buyers cannot pay (`isAway`), none of them counts against its buyer.
   */
  sweep(
    ref: LaneRef,
    limit: number,
    isAway?: boolean,
  ): Promise<{ now: number; released: number; dueAt: number | undefined }>;
  adjust(ref: LaneRef, adjustment: Adjustment): Promise<Adjusted>;
  /** Makes the appointments of buyers whose home lane this is: at most callBuyersMax, all different. */
  appoint(ref: LaneRef, buyers: string[]): Promise<Appointed[]>;
  /** Removes appointments of such buyers: as many at most, all different. */
  unappoint(ref: LaneRef, buyers: string[]): Promise<Unappointed[]>;
  /**
   * Writes the drop's rules to one lane; with `first` also its stock. An edit that the lane has not
   * taken yet is refused once the drop is `open`, and where it changes the stock also once that was
   * `adjusted`.
   */
  publish(drop: Drop, lane: number, first: boolean, edit?: DropEdit): Promise<Published>;
  inspect(ref: LaneRef): Promise<Inspected>;
  /** The orders behind digests, undefined where the lane has none, or a record that cannot be read. */
  find(ref: LaneRef, digests: string[]): Promise<(Order | undefined)[]>;
  /** What buyers gave with their Buys, while the ledger does not have it yet. */
  details(ref: LaneRef, digests: string[]): Promise<KeptDetails[]>;
  /** Deletes what buyers gave, once the ledger has it. */
  forgetDetails(ref: LaneRef, digests: string[]): Promise<void>;
  /** The drop as it was last published to the lane, undefined when it never was, or cannot be read. */
  readDrop(ref: LaneRef): Promise<Drop | undefined>;
};

export function openLanes(redis: Redis, namespace: string, text = scriptText): Lanes {
  const runScript = openScripts(redis, text);

  function call(name: ScriptName, ref: LaneRef, args: (string | number)[]): Promise<unknown> {
    const keys = scripts[name].keys.map((key: LaneKey) => laneKey(namespace, ref, key));
    return runScript(name, keys, args);
  }

  /** Calls a script that moves known orders and parses its results, one for each order. */
  async function move<Status extends string>(
    name: 'confirm' | 'release' | 'refund' | 'writeoff' | 'defer' | 'shorten',
    words: readonly (Status | 'unknown')[],
    {
      ref,
      digests,
      args = digests,
    }: { ref: LaneRef; digests: string[]; args?: (string | number)[] },
  ): Promise<Moved<Status>[]> {
    if (digests.length === 0) return [];
    const reply = readReply(name, await call(name, ref, args));
    return digests.map((digest, index) =>
      parseMoved(words, { ref, digest }, reply.text(index + 2)),
    );
  }

  /** Calls a script about the appointments of buyers and parses its results, one for each. */
  async function ofBuyers<Word extends string>(
    name: 'appoint' | 'unappoint',
    words: readonly (Word | 'missing')[],
    { ref, buyers }: { ref: LaneRef; buyers: string[] },
  ): Promise<(Word | 'missing')[]> {
    if (buyers.length === 0) return [];
    const reply = readReply(name, await call(name, ref, buyers));
    if (reply.text(0) === 'missing') return buyers.map(() => 'missing');
    return buyers.map((_, index) => parseWord(words, reply.text(index + 1), name));
  }

  return {
    async reserve(ref, reservations) {
      if (reservations.length === 0) return [];
      const args: (string | number)[] = [reservations.length];
      const told: (string | number)[] = [];
      for (const { digest, buyer, item, quantity, method, awaitsBuyer, details } of reservations) {
        const field = methodField(method, details?.fingerprint);
        args.push(digest, buyer, item, quantity, field, awaitsBuyer ? 1 : 0);
        if (details) told.push((args.length - 1) / 6, details.text);
      }
      if (told.length > 0) args.push(...told);
      const reply = readReply('reserve', await call('reserve', ref, args));
      if (reply.text(0) === 'missing') return reservations.map(() => ({ status: 'missing' }));
      return reservations.map(({ digest }, index) => {
        return parseReserved(ref, digest, reply.text(index + 2));
      });
    },

    confirm: (ref, digests) => move('confirm', scripts.confirm.replies, { ref, digests }),

    release(ref, orders) {
      const digests = orders.map((order) => order.digest);
      const args = orders.flatMap((order) => [order.digest, order.reason]);
      return move('release', scripts.release.replies, { ref, digests, args });
    },

    refund: (ref, digests) => move('refund', scripts.refund.replies, { ref, digests }),

    writeOff: (ref, digests) => move('writeoff', scripts.writeoff.replies, { ref, digests }),

    defer(ref, orders) {
      const digests = orders.map((order) => order.digest);
      const args = orders.flatMap(({ digest, to }) => [digest, to]);
      return move('defer', scripts.defer.replies, { ref, digests, args });
    },

    shorten: (ref, digests) => move('shorten', scripts.shorten.replies, { ref, digests }),

    async sweep(ref, limit, isAway = false) {
      const reply = readReply('sweep', await call('sweep', ref, [limit, isAway ? 1 : 0]));
      return { now: reply.whole(1), released: reply.whole(2), dueAt: reply.wholeOrNone(3) };
    },

    async adjust(ref, { id, item, delta, reason }) {
      return parseAdjusted(await call('adjust', ref, [id, item, delta, reason, allotmentMax]));
    },

    appoint: (ref, buyers) => ofBuyers('appoint', scripts.appoint.replies, { ref, buyers }),

    unappoint: (ref, buyers) => ofBuyers('unappoint', scripts.unappoint.replies, { ref, buyers }),

    async publish(drop, lane, first, edit) {
      const args: (string | number)[] = [
        drop.version,
        first ? 1 : 0,
        edit?.changes ?? 'no',
        edit?.version ?? 0,
        drop.decision,
        drop.startsAt,
        drop.endsAt,
        drop.holdMs,
        drop.lateCapture,
        drop.appointment ? 1 : 0,
        drop.perBuyer ?? '',
        drop.unpaidHoldMs ?? '',
        drop.lapsesMax ?? '',
        drop.items.length,
        JSON.stringify(drop, withoutMetadata),
      ];
      for (const item of drop.items) {
        args.push(item.unitAmount, item.perBuyer, laneShare(item.allotment, lane, drop.lanes));
      }
      const reply = readReply('publish', await call('publish', { drop: drop.id, lane }, args));
      return parseWord(scripts.publish.replies, reply.text(0), 'publish');
    },

    async inspect(ref) {
      return parseInspected(await call('inspect', ref, []));
    },

    async find(ref, digests) {
      if (digests.length === 0) return [];
      const records = await redis.hmget(laneKey(namespace, ref, 'orders'), ...digests);
      return digests.map((digest, index) => {
        const record = records[index];
        return record ? readRecord(ref, digest, record) : undefined;
      });
    },

    async details(ref, digests) {
      if (digests.length === 0) return [];
      try {
        const texts = await redis.hmget(laneKey(namespace, ref, 'details'), ...digests);
        return texts.map((text) => {
          return text === null ? undefined : (parseDetails(text) ?? 'unreadable');
        });
      } catch (error) {
        if (!isRedisError(error, redisErrorCodes.wrongType)) throw error;
        return digests.map(() => 'unreadable');
      }
    },

    async forgetDetails(ref, digests) {
      if (digests.length > 0) await redis.hdel(laneKey(namespace, ref, 'details'), ...digests);
    },

    async readDrop(ref) {
      const text = await redis.hget(laneKey(namespace, ref, 'rules'), 'drop');
      if (!text) return undefined;
      try {
        // Only `publish` above writes this field: the JSON of a Drop.
        const drop: Drop = JSON.parse(text);
        return drop;
      } catch {
        return undefined;
      }
    },
  };
}

/** For JSON.stringify: metadata are for their merchant alone, so no lane and no card needs them. */
function withoutMetadata(name: string, value: unknown): unknown {
  return name === 'metadata' ? undefined : value;
}

/** A lane's part of an item's allotment; the parts of all lanes add up to it. */
export function laneShare(allotment: number, lane: number, lanes: number): number {
  return Math.floor(allotment / lanes) + (lane < allotment % lanes ? 1 : 0);
}

/** The lanes of a drop. */
export function lanesOf(drop: Pick<Drop, 'id' | 'lanes'>): LaneRef[] {
  return Array.from({ length: drop.lanes }, (_, lane) => ({ drop: drop.id, lane }));
}
