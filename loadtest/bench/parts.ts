import { measureBuy } from './measures/buy.ts';
import { measureGrowth } from './measures/growth.ts';
import { measureNaiveSql } from './measures/naive-sql.ts';
import { measureOverload } from './measures/overload.ts';
import { measureAppointments, measureMemory, measureReserve } from './measures/reserve.ts';
import { measureDrops, measureProcesses } from './measures/scale.ts';
import { measureSettle } from './measures/settle.ts';
import { measureSoldOut } from './measures/sold-out.ts';
import { measureWallet } from './measures/wallet.ts';
import type { Measured } from './support/figures.ts';
import type { BenchRedis } from './support/redis.ts';

/** What a part measures with: a Redis of this run, empty at the start. */
export type Stage = { redis: BenchRedis; rounds: number };

/** A part of the bench, which `--only` takes by its name. */
export type Part = { name: string; what: string; measure(stage: Stage): Promise<Measured[]> };

/** In the order they run. */
export const parts: Part[] = [
  {
    name: 'reserve',
    what: 'orders a second through one lane ÷ pipelined INCR',
    measure: ({ redis, rounds }) => measureReserve(redis, rounds),
  },
  {
    name: 'memory',
    what: 'Redis memory of a live order, and of an appointment',
    measure: async ({ redis }) => [await measureMemory(redis), await measureAppointments(redis)],
  },
  {
    name: 'growth',
    what: 'cost of an order in a lane of a million ÷ in one of ten thousand',
    measure: ({ redis }) => measureGrowth(redis),
  },
  {
    name: 'buy',
    what: 'processor time of an accepted Buy ÷ a bare Fastify POST',
    measure: ({ redis, rounds }) => measureBuy(redis, rounds),
  },
  {
    name: 'sold-out',
    what: 'sold-out refusals a second ÷ the same bare POST',
    measure: ({ redis, rounds }) => measureSoldOut(redis, rounds),
  },
  {
    name: 'sql',
    what: 'accepted Buys a second ÷ one UPDATE … WHERE stock > 0 each, in PostgreSQL',
    measure: ({ redis, rounds }) => measureNaiveSql(redis, rounds),
  },
  {
    name: 'settle',
    what: 'orders settled a second ÷ jobs of an empty BullMQ worker',
    measure: ({ redis, rounds }) => measureSettle(redis, rounds),
  },
  {
    name: 'wallet',
    what: 'wallets charged a second for one merchant ÷ a transaction for each charge',
    measure: ({ rounds }) => measureWallet(rounds),
  },
  {
    name: 'overload',
    what: 'accepted Buys a second at three times the capacity ÷ at the peak',
    measure: ({ rounds }) => measureOverload(rounds),
  },
  {
    name: 'drops',
    what: 'accepted Buys a second with 1, 10 and 1,000 drops',
    measure: ({ redis, rounds }) => measureDrops(redis, rounds),
  },
  {
    name: 'processes',
    what: 'accepted Buys a second of 1, 2 and 4 api processes',
    measure: ({ rounds }) => measureProcesses(rounds),
  },
];
