import type { Redis } from 'ioredis';
import type { BuyerId, LaneRef } from '../domain/ids.ts';
import type { Order } from '../domain/order.ts';
import { type LaneKey, laneKey } from './keys.ts';
import { readRecord } from './replies.ts';
import { pairsOf } from './reply-reader.ts';

/** Units that a lane has counted for one buyer of one item. */
export type BuyerUnits = { item: number; buyer: BuyerId; units: number };

/**
 * All records of a lane, read page by page while it sells. The audit compares them with the lane's
 * figures and the ledger. A record that changes during the scan may be seen before or after the change.
 */
export type Records = {
  orders(ref: LaneRef): AsyncGenerator<Order[]>;
  buyers(ref: LaneRef): AsyncGenerator<BuyerUnits[]>;
  /** The number of orders in the lane. */
  count(ref: LaneRef): Promise<number>;
};

const pageFields = 1_000;

export function openRecords(redis: Redis, namespace: string): Records {
  /** Reads a hash with HSCAN, page by page. The same field can come twice. */
  async function* pages(ref: LaneRef, name: LaneKey): AsyncGenerator<[string, string][]> {
    const key = laneKey(namespace, ref, name);
    let cursor = '0';
    do {
      const [next, page] = await redis.hscan(key, cursor, 'COUNT', pageFields);
      cursor = next;
      yield pairsOf(page);
    } while (cursor !== '0');
  }

  return {
    count: (ref) => redis.hlen(laneKey(namespace, ref, 'orders')),

    async *orders(ref) {
      for await (const page of pages(ref, 'orders')) {
        yield page.flatMap(([digest, record]) => readRecord(ref, digest, record) ?? []);
      }
    },

    async *buyers(ref) {
      for await (const page of pages(ref, 'buyers')) {
        yield page.map(([field, value]) => {
          const bar = field.indexOf(':');
          return {
            item: Number(field.slice(0, bar)),
            buyer: field.slice(bar + 1),
            units: Number.parseInt(value, 10),
          };
        });
      }
    },
  };
}
