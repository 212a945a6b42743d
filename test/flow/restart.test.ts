import { rmSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { freePort } from '../../src/embedded/free-port.ts';
import { type Ledger, openLedger } from '../../src/ledger/ledger.ts';
import { startTestEngine, type TestEngine } from '../support/engine.ts';
import { sharedRedisUrl } from '../support/redis.ts';
import { openSale } from '../support/sale.ts';
import { newLedgerFolder } from '../support/test-ledger.ts';

let folder: string;
let stops: (() => Promise<void>)[];
beforeEach(async () => {
  folder = await newLedgerFolder();
  stops = [];
});
afterEach(async () => {
  while (stops.length > 0) await stops.pop()?.();
  rmSync(folder, { recursive: true, force: true });
});

/** An engine on the ledger's folder, as one is after a start of its process. */
async function start(
  options: { port: number; settling?: boolean } & Partial<Pick<TestEngine, 'namespace'>>,
): Promise<{ engine: TestEngine; ledger: Ledger; address: string }> {
  const { port, ...rest } = options;
  const ledger = await openLedger({ folder });
  const redisUrl = sharedRedisUrl();
  const engine = await startTestEngine({ ...rest, redisUrl, ledger, settings: { demo: true } });
  stops.push(() => engine.stop().then(ledger.close));
  return { engine, ledger, address: await engine.serve(port) };
}

const stop = () => stops.pop()?.();

test('A sale goes on after a restart of the engine, and a repeated Buy gets the answer from before', async () => {
  const port = await freePort();
  const { engine, address } = await start({ port });
  const { apiKey } = await engine.merchant();
  const sale = await openSale({ address, merchantKey: apiKey }, { units: 60 });
  const buyers = await sale.gather(90);
  let restarted: Promise<unknown> | undefined;
  await sale.run(buyers, {
    pressing: 20,
    onAccepted(accepted) {
      if (accepted !== 20) return;
      restarted = Promise.resolve(stop()).then(() => start({ port, namespace: engine.namespace }));
    },
  });
  await restarted;
  expect(await sale.judged()).toMatchObject({ available: 0, sold: 60, paid: 60 });
  for (const one of buyers) {
    const before = sale.book.get(one.buyer)?.find(({ status }) => status === 202);
    if (before) expect((await sale.press(one)).body).toBe(before.body);
  }
  expect(await sale.judged()).toMatchObject({ orders: 60 });
});

test('A worker that starts late charges orders that are still held and none whose hold has ended', async () => {
  const port = await freePort();
  const { engine, address } = await start({ port, settling: false });
  const { apiKey } = await engine.merchant();
  const own = { address, merchantKey: apiKey };
  const [lapsing, holding] = [
    await openSale(own, { units: 5, holdMs: 1_000 }),
    await openSale(own, { units: 5 }),
  ];
  const held = await Promise.all((await lapsing.gather(5)).map((one) => lapsing.press(one)));
  await Promise.all((await holding.gather(5)).map((one) => holding.press(one)));
  const last = Math.max(...held.map(({ json }) => Date.parse(json['expiresAt'] as string)));
  const { lanes } = engine.deps;
  await expect
    .poll(async () => (await lanes.inspect({ drop: lapsing.drop, lane: 0 })).now)
    .toBeGreaterThan(last);
  await stop();
  await start({ port, namespace: engine.namespace });
  expect(await holding.judged()).toMatchObject({ sold: 5, paid: 5 });
  expect(await lapsing.judged()).toMatchObject({ available: 5, sold: 0, captured: 0, orders: 5 });
});
