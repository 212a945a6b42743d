import type { Redis } from 'ioredis';
import type { LaneRef } from '../domain/ids.ts';
import type { Order } from '../domain/order.ts';
import { type LaneKey, laneKey } from './keys.ts';
import { parseRecord } from './replies.ts';

/** What a lane has counted for one buyer of one item. */
export type BuyerUnits = { item: number; buyer: string; units: number };

/**
 * Everything a lane keeps, read page by page beside the sale: for the audit, which compares it
 * with what the lane's own figures and the ledger say. What moves meanwhile may be seen or not.
 */
export type Records = {
  orders(ref: LaneRef): AsyncGenerator<Order[]>;
  buyers(ref: LaneRef): AsyncGenerator<BuyerUnits[]>;
  /** How many orders it has. */
  count(ref: LaneRef): Promise<number>;
};

const pageFields = 1_000;

export function openRecords(redis: Redis, namespace: string): Records {
  /** Pages of field, value, field, value ... A field can come twice. */
  async function* pages(ref: LaneRef, name: LaneKey): AsyncGenerator<string[]> {
    const key = laneKey(namespace, ref, name);
    let cursor = '0';
    do {
      const [next, page] = await redis.hscan(key, cursor, 'COUNT', pageFields);
      cursor = next;
      yield page;
    } while (cursor !== '0');
  }

  return {
    count: (ref) => redis.hlen(laneKey(namespace, ref, 'orders')),

    async *orders(ref) {
      for await (const page of pages(ref, 'orders')) {
        const found: Order[] = [];
        for (let i = 0; i < page.length; i += 2) {
          found.push(parseRecord(ref, page[i] as string, page[i + 1] as string));
        }
        yield found;
      }
    },

    async *buyers(ref) {
      for await (const page of pages(ref, 'buyers')) {
        const found: BuyerUnits[] = [];
        for (let i = 0; i < page.length; i += 2) {
          const field = page[i] as string;
          const bar = field.indexOf(':');
          found.push({
            item: Number(field.slice(0, bar)),
            buyer: field.slice(bar + 1),
            units: Number.parseInt(page[i + 1] as string, 10),
          });
        }
        yield found;
      }
    },
  };
}
