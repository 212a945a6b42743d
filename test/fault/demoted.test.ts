import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openLedger } from '../../src/ledger/ledger.ts';
import { startTestEngine } from '../support/engine.ts';
import { eventually } from '../support/eventually.ts';
import {
  newDatabase,
  postgresMissing,
  startPostgres,
  statement,
  type TestPostgres,
} from '../support/postgres.ts';
import { startProxy, type TcpProxy } from '../support/proxy.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';
import { openSale, type Sale } from '../support/sale.ts';
import { openTestLedger } from '../support/test-ledger.ts';

// A server that was the master answers on as a read-only one, and the connections to it stay open.

async function isReady(address: string): Promise<boolean> {
  return (await fetch(`${address}/readyz`)).ok;
}

/** Presses until the Buy is accepted, as a client does that was told to come again. */
async function untilTaken(sale: Sale, buyer: Parameters<Sale['press']>[0]): Promise<void> {
  await eventually(async () => (await sale.press(buyer)).status === 202);
}

describe('A Redis whose master moves while its connections stay open', () => {
  let servers: [TestRedis, TestRedis];
  let operators: [Redis, Redis];
  let proxy: TcpProxy;
  beforeAll(async () => {
    servers = await Promise.all([startRedis(), startRedis()]);
    operators = [new Redis(servers[0].url), new Redis(servers[1].url)];
    for (const operator of operators)
      await operator.config('SET', 'masterauth', servers[0].password);
    proxy = await startProxy(servers[0]);
  });
  afterAll(async () => {
    for (const operator of operators ?? []) operator.disconnect();
    await proxy?.close();
    for (const server of servers ?? []) await server.remove();
  });

  /** Makes one server a replica of the other, and waits until it has the other's data. */
  async function follow(replica: Redis, master: TestRedis): Promise<void> {
    await replica.replicaof(master.host, master.port);
    await eventually(async () => (await replica.info()).includes('master_link_status:up'));
  }

  test('After a failover behind the same address Buys go on and orders get paid with no connection killed by hand, and /readyz is false in between', async () => {
    const ledger = await openTestLedger();
    const redisUrl = `redis://:${servers[0].password}@${proxy.host}:${proxy.port}`;
    const engine = await startTestEngine({ redisUrl, ledger, settings: { demo: true } });
    try {
      const address = await engine.serve();
      const { apiKey } = await engine.merchant();
      const sale = await openSale({ address, merchantKey: apiKey }, { units: 60 });
      const buyers = await sale.gather(60);
      const [before, during, after] = [buyers.slice(0, 20), buyers.slice(20, 40), buyers.slice(40)];
      await sale.run(before);
      const [first, second] = operators;
      await follow(second, servers[0]);
      expect(await isReady(address)).toBe(true);

      await first.replicaof(servers[1].host, servers[1].port);
      await eventually(async () => !(await isReady(address)));
      const refused = await Promise.all(during.map((one) => sale.press(one)));
      expect(refused.map(({ status }) => status)).toEqual(during.map(() => 503));

      await second.replicaof('NO', 'ONE');
      proxy.leadTo(servers[1]);
      for (const one of [...during, ...after]) await untilTaken(sale, one);
      expect(await sale.judged()).toMatchObject({ available: 0, sold: 60, paid: 60, orders: 60 });
      await eventually(() => isReady(address));
    } finally {
      await engine.stop();
      await ledger.close();
    }
  });
});

const missing = postgresMissing();
const title = 'A PostgreSQL whose open sessions became read-only';

describe.skipIf(missing !== undefined)(missing ? `${title} (not run: ${missing})` : title, () => {
  let postgres: TestPostgres;
  let redis: TestRedis;
  beforeAll(async () => {
    [postgres, redis] = await Promise.all([startPostgres(), startRedis()]);
  });
  afterAll(async () => {
    await postgres?.stop();
    await redis?.remove();
  });

  test('Sessions that became read-only are replaced, orders get paid, and /readyz is false as long as no session can write', async () => {
    const databaseUrl = await newDatabase(postgres.url);
    const { pathname } = new URL(databaseUrl);
    const ledger = await openLedger({ databaseUrl });
    const engine = await startTestEngine({
      redisUrl: redis.url,
      ledger,
      settings: { demo: true },
    });
    try {
      const address = await engine.serve();
      const { apiKey } = await engine.merchant();
      const sale = await openSale({ address, merchantKey: apiKey }, { units: 40 });
      const buyers = await sale.gather(40);
      await sale.run(buyers.slice(0, 20));
      expect(await isReady(address)).toBe(true);

      await statement(postgres.url, 'alter system set default_transaction_read_only = on');
      await statement(postgres.url, 'select pg_reload_conf()');
      await eventually(async () => !(await isReady(address)));
      // Those that are open stay read-only, as on a server that was demoted; new ones may write.
      await statement(
        postgres.url,
        `begin read write; alter database ${pathname.slice(1)} set default_transaction_read_only = off; commit`,
      );
      await sale.run(buyers.slice(20));
      expect(await sale.judged()).toMatchObject({ available: 0, sold: 40, paid: 40, orders: 40 });
      await eventually(() => isReady(address));
    } finally {
      await engine.stop();
      await ledger.close();
    }
  });
});
