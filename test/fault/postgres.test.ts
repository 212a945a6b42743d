import { randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Book } from '../../loadtest/crowd.ts';
import { freePort } from '../../src/embedded/free-port.ts';
import { laneKey } from '../../src/inventory/keys.ts';
import { openLedger } from '../../src/ledger/ledger.ts';
import { startTestEngine } from '../support/engine.ts';
import { startEngineProcess } from '../support/engine-process.ts';
import { eventually } from '../support/eventually.ts';
import {
  newDatabase,
  postgresMissing,
  startPostgres,
  type TestPostgres,
} from '../support/postgres.ts';
import { sharedRedisUrl } from '../support/redis.ts';
import { openSale } from '../support/sale.ts';

const missing = postgresMissing();
const title = 'with the ledger on a PostgreSQL server';

describe.skipIf(missing !== undefined)(missing ? `${title} (not run: ${missing})` : title, () => {
  let postgres: TestPostgres;
  const closers: (() => unknown)[] = [];
  beforeAll(async () => {
    postgres = await startPostgres();
  });
  afterEach(async () => {
    while (closers.length > 0) await closers.pop()?.();
  });
  afterAll(() => postgres?.stop());

  test('While PostgreSQL is down the sale goes on and the outbox keeps its entries; once it is back everything settles', async () => {
    const databaseUrl = await newDatabase(postgres.url);
    const ledger = await openLedger({ databaseUrl });
    closers.push(ledger.close);
    const redisUrl = sharedRedisUrl();
    const engine = await startTestEngine({ redisUrl, ledger, settings: { demo: true } });
    closers.push(engine.stop);
    const address = await engine.serve();
    const { apiKey } = await engine.merchant();
    const sale = await openSale({ address, merchantKey: apiKey }, { units: 60 });
    const [first, buyers] = [await sale.one(), await sale.gather(90)];
    const { id } = (await sale.press(first)).json;
    await eventually(async () => (await sale.order(first, id))['state'] === 'paid');

    await postgres.halt();
    await sale.run(buyers);
    expect(sale.told().filter((code) => !['', 'all_held'].includes(code))).toEqual([]);
    expect(await sale.call('GET', `/v1/orders/${id}`, { token: first.token })).toMatchObject({
      status: 503,
      code: 'unavailable',
    });
    expect((await fetch(`${address}/readyz`)).status).toBe(503);
    const redis = new Redis(redisUrl);
    closers.push(() => redis.disconnect());
    const outbox = laneKey(engine.namespace, { drop: sale.drop, lane: 0 }, 'outbox');
    const told = (await redis.xrange(outbox, '-', '+')).flatMap(([, fields]) => fields);
    expect(told.filter((field) => field.startsWith('r|'))).toHaveLength(59);

    await postgres.resume();
    expect(await sale.judged()).toMatchObject({ available: 0, sold: 60, paid: 60, orders: 60 });
    expect(await redis.xlen(outbox)).toBe(0);
    await eventually(async () => (await fetch(`${address}/readyz`)).ok);
  });

  test('Two processes of one engine sell a drop as one: the same answers, one capture for each order', async () => {
    const databaseUrl = await newDatabase(postgres.url);
    const ledger = await openLedger({ databaseUrl });
    const { apiKey } = await ledger.merchants.create({ name: 'store' });
    await ledger.close();
    const env = {
      REDIS_URL: sharedRedisUrl(),
      DATABASE_URL: databaseUrl,
      FLASHDROP_NAMESPACE: `t${randomBytes(6).toString('hex')}`,
      FLASHDROP_JWT_SECRET: randomBytes(32).toString('hex'),
      FLASHDROP_LOG_LEVEL: 'silent',
    };
    const port = await freePort();
    const [one, other] = await Promise.all([
      startEngineProcess({ env }),
      startEngineProcess({ env, port }),
    ]);
    closers.push(() => one.kill('SIGTERM'));
    let second = other;
    closers.push(() => second.kill('SIGTERM'));
    const sale = await openSale({ address: one.address, merchantKey: apiKey }, { units: 120 });
    const buyers = await sale.gather(180);
    const book: Book = new Map();
    let rolled: Promise<void> | undefined;
    await Promise.all([
      sale.run(buyers, { pressing: 20 }),
      sale.run(buyers.toReversed(), {
        pressing: 20,
        into: book,
        address: other.address,
        onAccepted(accepted) {
          if (accepted !== 30) return;
          rolled = other.kill('SIGTERM').then(async ({ code }) => {
            expect(code).toBe(0);
            second = await startEngineProcess({ env, port });
          });
        },
      }),
    ]);
    await rolled;
    for (const [buyer, seen] of book)
      sale.book.set(buyer, [...(sale.book.get(buyer) ?? []), ...seen]);
    const { captured, refunded } = await sale.judged();
    expect(await sale.judged()).toMatchObject({ available: 0, sold: 120, paid: 120, orders: 120 });
    expect([captured, refunded]).toEqual([120 * 199_900, 0]);
  });
});
