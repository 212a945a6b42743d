import { afterAll, beforeAll, expect, test } from 'vitest';
import type { TopUpId } from '../../src/domain/ids.ts';
import { openMetrics } from '../../src/metrics.ts';
import type { Outcome, PaymentProvider, PaymentRef } from '../../src/payments/provider.ts';
import { openStage, type Stage } from '../settlement/stage.ts';
import { aReference } from '../support/ids.ts';
import { samplesOf } from '../support/metrics-page.ts';
import { sharedRedisUrl } from '../support/redis.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await openStage({ redisUrl: sharedRedisUrl() });
});
afterAll(() => stage.close());

let names = 0;

/** A buyer, and a provider at which they pay by hand: its book is a map from references. */
function aBuyer() {
  const book = new Map<string, Outcome>();
  /** Answers of a look-up about payments that it was not asked about. */
  const strangers: Outcome[] = [];
  const tell = ({ reference }: PaymentRef): Outcome =>
    book.get(reference) ?? { reference, kind: 'pending', action: { kind: 'qr', text: 'pay' } };
  const told: PaymentProvider['lookUp'] = async (payments) => [...strangers, ...payments.map(tell)];
  const provider: Partial<PaymentProvider> = {
    startedBy: 'buyer',
    scenes: ['page', 'wap'],
    start: told,
    lookUp: told,
    close: async (payments) =>
      payments.map(({ reference }) => ({ reference, kind: 'declined', reason: 'closed' })),
  };
  const metrics = openMetrics();
  const { topUps } = stage.settlement({ provider, metrics });
  const buyer = `filler-${++names}`;
  const begin = (key: string, scene = 'page') =>
    topUps.start({ buyer, amount: 500, currency: 'CNY', key, method: 'wallet', wish: { scene } });
  const idOf = async (key: string) => {
    const begun = await begin(key);
    if (begun.kind !== 'begun') throw new Error(`not begun: ${begun.kind}`);
    return begun.topUp.id;
  };
  const attempts = async (id: TopUpId) => await stage.ledger.payments.ofOrders([id]);
  const balance = () =>
    stage.ledger.accounts.balance({ kind: 'buyer', owner: buyer, currency: 'CNY' });
  return { book, strangers, metrics, topUps, buyer, begin, idOf, attempts, balance };
}

test('top-ups that are begun without end do not wear a provider out', async () => {
  const { begin } = aBuyer();
  const kinds: string[] = [];
  for (let n = 1; n <= 12; n += 1) kinds.push((await begin(`key-${n}`)).kind);
  expect(kinds).toEqual([...Array<string>(10).fill('begun'), 'too_many', 'too_many']);
  expect(await begin('key-1')).toMatchObject({ kind: 'begun' });
});

test('a top-up whose way to be paid is changed without end stops after twenty payments', async () => {
  const { begin, idOf, attempts } = aBuyer();
  const id = await idOf('k');
  for (let n = 1; n < 20; n += 1) {
    expect(await begin('k', n % 2 ? 'wap' : 'page')).toMatchObject({ kind: 'begun' });
  }
  expect(await begin('k', 'page')).toEqual({ kind: 'too_many' });
  expect(await attempts(id)).toHaveLength(20);
});

test('a top-up that was paid and is not credited yet is not begun a second time', async () => {
  const { begin, idOf, attempts, balance } = aBuyer();
  const id = await idOf('k');
  const [payment] = await attempts(id);
  const reference = aReference(payment?.reference);
  await stage.ledger.payments.record([{ reference, state: 'captured', amount: 500 }]);
  const again = await begin('k');
  expect(again).toMatchObject({ kind: 'begun', topUp: { creditedAt: expect.any(Number) } });
  expect(again).not.toHaveProperty('action');
  expect(await attempts(id)).toHaveLength(1);
  expect(await balance()).toBe(500);
});

test('a top-up that was paid in another currency is not called credited', async () => {
  const { book, topUps, buyer, idOf, attempts, balance } = aBuyer();
  const id = await idOf('k');
  const [payment] = await attempts(id);
  const reference = aReference(payment?.reference);
  book.set(reference, { reference, kind: 'captured', amount: 500, currency: 'USD' });
  await topUps.settle([id]);
  expect(await topUps.find(buyer, id)).toMatchObject({ creditedAt: null });
  expect(await balance()).toBe(0);
  expect(stage.logged.map(({ msg }) => msg)).toContain(
    'top-up paid in another currency: an operator has to act',
  );
});

test('A top-up whose reference was credited with another amount is an alarm and not marked as credited', async () => {
  const { book, topUps, buyer, idOf, attempts, balance } = aBuyer();
  const id = await idOf('k');
  const [payment] = await attempts(id);
  const reference = aReference(payment?.reference);
  await stage.ledger.accounts.topUp({ buyer, currency: 'CNY', amount: 300, reference });
  book.set(reference, { reference, kind: 'captured', amount: 500 });
  await topUps.settle([id]);
  expect(await topUps.find(buyer, id)).toMatchObject({ creditedAt: null });
  expect(await balance()).toBe(300);
  expect(stage.logged.map(({ msg }) => msg)).toContain(
    'top-up was credited with another amount before: an operator has to act',
  );
});

test('A provider that answers about a top-up nobody asked about credits the one that was asked about alone', async () => {
  const { book, strangers, metrics, topUps, buyer, idOf, attempts, balance } = aBuyer();
  const [id, other] = [await idOf('mine'), await idOf('other')];
  const [[mine], [theirs]] = [await attempts(id), await attempts(other)];
  const reference = aReference(mine?.reference);
  strangers.push({ reference: aReference(theirs?.reference), kind: 'captured', amount: 500 });
  book.set(reference, { reference, kind: 'captured', amount: 500 });
  await topUps.settle([id]);
  expect(await topUps.find(buyer, id)).toMatchObject({ creditedAt: expect.any(Number) });
  expect(await topUps.find(buyer, other)).toMatchObject({ creditedAt: null });
  expect(await attempts(other)).toMatchObject([{ state: 'started' }]);
  expect(await balance()).toBe(500);
  const untrusted = samplesOf(await metrics.text()).find(({ name, labels }) => {
    return name === 'flashdrop_payments_total' && labels['outcome'] === 'unknown';
  });
  expect(untrusted).toMatchObject({ labels: { provider: 'wallet' }, value: 1 });
});
