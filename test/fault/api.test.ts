import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { freePort } from '../../src/embedded/free-port.ts';
import { openLedger } from '../../src/ledger/ledger.ts';
import { startTestEngine } from '../support/engine.ts';
import { startEngineProcess } from '../support/engine-process.ts';
import { sharedRedisUrl } from '../support/redis.ts';
import { openSale } from '../support/sale.ts';
import { newLedgerFolder } from '../support/test-ledger.ts';

/** The first, and only, of a crowd by this name. */
const doomed = 'doomed-0';
let folder: string;
const closers: (() => Promise<unknown>)[] = [];
beforeEach(async () => {
  folder = await newLedgerFolder();
});
afterEach(async () => {
  while (closers.length > 0) await closers.pop()?.();
  rmSync(folder, { recursive: true, force: true });
});

test('An API process killed around the reserve call leaves one order for each key and loses no unit', async () => {
  const port = await freePort();
  const [redisUrl, namespace] = [sharedRedisUrl(), `t${randomBytes(6).toString('hex')}`];
  const on = [redisUrl, namespace, folder, String(port)];
  const start = async (dieAt: string) => {
    const args = [...on, dieAt, doomed];
    const victim = await startEngineProcess({ entry: 'test/fault/victim.ts', args });
    closers.push(() => victim.kill('SIGKILL'));
    return victim;
  };
  const ledger = await openLedger({ folder });
  const { apiKey } = await ledger.merchants.create({ name: 'store' });
  await ledger.close();

  const first = await start('before');
  const sale = await openSale({ address: first.address, merchantKey: apiKey }, { units: 20 });
  const buyers = [...(await sale.gather(14)), ...(await sale.gather(1, { prefix: 'doomed-' }))];
  const press = () => Promise.all(buyers.map((one) => sale.press(one)));
  const before = await press();
  expect((await first.ended).signal).toBe('SIGKILL');
  expect(before.at(-1)).toMatchObject({ status: 0 });

  const second = await start('after');
  await press();
  expect((await second.ended).signal).toBe('SIGKILL');

  const survivor = await openLedger({ folder });
  const living = await startTestEngine({
    redisUrl,
    namespace,
    ledger: survivor,
    settings: { demo: true },
  });
  closers.push(survivor.close, living.stop);
  await living.serve(port);
  const after = await press();
  expect(after.map(({ status }) => status)).toEqual(buyers.map(() => 202));
  expect(after.at(-1)).toMatchObject({ replayed: true }); // the script had run, its reply was lost
  expect(await sale.judged()).toMatchObject({ available: 5, sold: 15, paid: 15, orders: 15 });
});
