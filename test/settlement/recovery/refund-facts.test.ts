import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { newMerchantId, type OrderId } from '../../../src/domain/ids.ts';
import { required } from '../../../src/domain/required.ts';
import type {
  Outcome,
  PaymentProvider,
  PaymentRef,
  Refund,
  RefundLookUp,
  RefundOutcome,
} from '../../../src/payments/provider.ts';
import { anItem } from '../../support/drops.ts';
import { eventually } from '../../support/eventually.ts';
import { sharedRedisUrl } from '../../support/redis.ts';
import { gate, openStage, type Stage } from '../stage.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await openStage({ redisUrl: sharedRedisUrl() });
});
afterAll(() => stage.close());

const price = anItem().unitAmount;

/** A provider that has captured everything, and whose refunds are in a state that the test sets. */
function aBank() {
  const book = new Map<string, 'refunded' | 'pending' | 'failed'>();
  let refuses = false;
  let answering: () => Promise<void> = async () => {};
  const captured = async (payments: readonly PaymentRef[]): Promise<Outcome[]> =>
    payments.map(({ reference }) => ({ reference, kind: 'captured', amount: price }));
  const tell = ({ refundReference, amount }: Refund): RefundLookUp => {
    const state = book.get(refundReference);
    if (state === 'refunded') return { refundReference, kind: 'refunded', amount };
    if (state === 'pending') return { refundReference, kind: 'pending' };
    if (state === 'failed') return { refundReference, kind: 'failed', reason: 'account closed' };
    return { refundReference, kind: 'none' };
  };
  const provider: Partial<PaymentProvider> = {
    startedBy: 'engine',
    start: captured,
    lookUp: captured,
    close: captured,
    async refund(refunds) {
      return refunds.map((refund): RefundOutcome => {
        const { refundReference } = refund;
        if (!book.has(refundReference)) book.set(refundReference, refuses ? 'failed' : 'refunded');
        const told = tell(refund);
        return told.kind === 'none' ? { refundReference, kind: 'unknown' } : told;
      });
    },
    async lookUpRefunds(refunds) {
      const answers = refunds.map(tell);
      await answering();
      return answers;
    },
  };
  return {
    provider,
    book,
    refuse: (now: boolean) => {
      refuses = now;
    },
    /** Called before each answer about refunds leaves. */
    onAnswer(wait: () => Promise<void>) {
      answering = wait;
    },
  };
}

/** A paid order of one unit, of a drop with ten, at that bank. */
async function aSale() {
  const bank = aBank();
  const desk = stage.settlement({ provider: bank.provider });
  await desk.start();
  // Its bank knows nothing of the refunds of the tests that follow.
  onTestFinished(desk.stop);
  const drop = await stage.publish({ items: [anItem({ allotment: 10 })] });
  const [id] = await stage.reserve(drop, [`buyer of ${drop.id}`], { fund: 0 });
  await stage.reaches(id, 'paid');
  const payment = async () => required((await stage.ledger.payments.ofOrders([id]))[0], 'payment');
  const { reference } = await payment();
  return {
    ...bank,
    desk,
    drop,
    id,
    reference,
    payment,
    refunds: async () => await stage.ledger.payments.refundsOf([reference]),
    stock: () => stage.figures({ drop: drop.id, lane: 0 }),
    /** The provider sends a notification about the payment. */
    notified: (nth: number) =>
      stage.ledger.notifications.take({
        provider: 'wallet',
        id: `${reference}-${nth}`,
        payment: reference,
        about: 'refund.updated',
        sentAt: Date.now(),
      }),
  };
}

const told = (id: OrderId, message: string) =>
  stage.logged.some((line) => line.msg === message && 'order' in line && line['order'] === id);

test('A notification that arrives while the provider is asked about its refund is not lost', async () => {
  const { desk, id, reference, payment, onAnswer, book, notified } = await aSale();
  await desk.refunds.refund(id, '');
  const asked = gate();
  onAnswer(asked.wait);
  await notified(1);
  await asked.reached;
  book.set(`${reference}r1`, 'failed');
  expect(await notified(2)).toBe('new');
  asked.open();
  await eventually(async () => (await payment()).amountRefunded === 0);
});

test('A refund that was done and failed later is taken out of the books with an alarm, and asking again refunds it', async () => {
  const { desk, id, reference, payment, refunds, book, notified, stock } = await aSale();
  expect(await desk.refunds.refund(id, '')).toMatchObject({ isDone: true });
  expect(await payment()).toMatchObject({ state: 'refunded', amountRefunded: price });
  book.set(`${reference}r1`, 'failed');
  expect(await notified(1)).toBe('new');
  await eventually(async () => (await payment()).amountRefunded === 0);
  expect(await payment()).toMatchObject({ state: 'captured', refundedAt: null });
  expect(await refunds()).toMatchObject([{ state: 'failed', note: 'account closed' }]);
  expect(told(id, 'refund that was done has failed: the buyer does not have the money')).toBe(true);
  expect((await stage.ledger.orders.receipts([id]))[0]?.payment?.amountRefunded).toBe(0);
  expect(await desk.refunds.refund(id, '')).toMatchObject({
    isDone: true,
    refund: { state: 'done', amount: price },
  });
  expect(await payment()).toMatchObject({ state: 'refunded', amountRefunded: price });
  expect((await refunds()).map(({ state }) => state)).toEqual(['failed', 'done']);
  // Its unit went back on sale with the first refund, and once.
  expect(await stock()).toMatchObject({ available: 10, sold: 0, allotment: 10 });
  await desk.stop();
});

test('A refund that was taken back without a notification is seen when the merchant asks again', async () => {
  const { desk, id, reference, payment, book } = await aSale();
  await desk.refunds.refund(id, '');
  book.set(`${reference}r1`, 'failed');
  expect(await desk.refunds.refund(id, '')).toMatchObject({
    isDone: true,
    refund: { reference: `${reference}r2`, state: 'done' },
  });
  expect(await payment()).toMatchObject({ state: 'refunded', amountRefunded: price });
  await desk.stop();
});

test('A refund that failed and was made by hand later is done in the books, and ends its order', async () => {
  const { desk, id, reference, payment, refunds, book, refuse, notified, stock } = await aSale();
  refuse(true);
  expect(await desk.refunds.refund(id, '')).toMatchObject({ isDone: false });
  expect(await stage.inLane(id)).toMatchObject({ state: 'paid' });
  book.set(`${reference}r1`, 'refunded');
  await notified(1);
  await stage.reaches(id, 'refunded');
  expect(await payment()).toMatchObject({ state: 'refunded', amountRefunded: price });
  expect(await refunds()).toMatchObject([{ state: 'done', note: '' }]);
  expect(await stock()).toMatchObject({ available: 10, sold: 0 });
  // Nothing is left: asking again refunds nothing more.
  await desk.refunds.refund(id, '');
  expect(await refunds()).toHaveLength(1);
  await desk.stop();
});

test('A whole refund that the provider refused blocks no part, and the order keeps the rest', async () => {
  const { desk, id, payment, refuse, drop } = await aSale();
  refuse(true);
  await desk.refunds.refund(id, '');
  refuse(false);
  const part = { merchantId: newMerchantId(), amount: 700, key: 'k', reason: '' };
  expect(await desk.refunds.refundPart(id, part)).toMatchObject({ kind: 'asked', isDone: true });
  expect(await payment()).toMatchObject({ state: 'captured', amountRefunded: 700 });
  expect(await stage.inLane(id)).toMatchObject({ state: 'paid' });
  expect(await stage.ledger.audit.mismatches(drop.id)).toEqual([]);
  await desk.stop();
});

/** Ways in which a provider does not tell what became of a refund. */
const silences: [name: string, lookUp: NonNullable<PaymentProvider['lookUpRefunds']>][] = [
  ['does not answer', () => Promise.reject(new Error('no answer'))],
  [
    'answers that it does not know yet',
    async (refunds) => refunds.map(({ refundReference }) => ({ refundReference, kind: 'unknown' })),
  ],
  ['answers about no refund', async () => []],
];

test.each(silences)(
  'While a provider %s, no refund is started beside a failed one that may have been made after all, and one is once it tells',
  async (_, silent) => {
    const { desk, id, provider, reference, refunds, book, refuse, payment } = await aSale();
    const told = required(provider.lookUpRefunds, 'look-up of refunds');
    const part = { merchantId: newMerchantId(), amount: price, key: 'k', reason: '' };
    refuse(true);
    await desk.refunds.refundPart(id, part);
    expect(await refunds()).toMatchObject([{ state: 'failed' }]);
    // Made by hand at the provider, which does not tell.
    book.set(`${reference}r1`, 'refunded');
    refuse(false);
    provider.lookUpRefunds = silent;
    const quiet = stage.settlement({ provider });
    expect(await quiet.refunds.refund(id, '')).toEqual({ kind: 'unsure' });
    expect(await quiet.refunds.refundPart(id, { ...part, amount: 1, key: 'other' })).toEqual({
      kind: 'unsure',
    });
    expect(await refunds()).toHaveLength(1);
    provider.lookUpRefunds = told;
    const asked = await stage.settlement({ provider }).refunds.refund(id, '');
    expect(asked).toMatchObject({ isDone: true, refund: { reference: `${reference}r1` } });
    expect(await refunds()).toMatchObject([{ state: 'done' }]);
    expect(await payment()).toMatchObject({ state: 'refunded', amountRefunded: price });
  },
);

test('A cancelled drop refunds no order a second time while the outcome of an earlier refund is unknown, and does not ask the provider in every run of the redrive', async () => {
  const { desk, drop, id, provider, reference, refunds, book, refuse, payment } = await aSale();
  const told = required(provider.lookUpRefunds, 'look-up of refunds');
  refuse(true);
  const part = { merchantId: newMerchantId(), amount: 700, key: 'k', reason: '' };
  await desk.refunds.refundPart(id, part);
  await desk.stop();
  book.set(`${reference}r1`, 'refunded');
  refuse(false);
  let asked = 0;
  provider.lookUpRefunds = () => {
    asked += 1;
    return Promise.reject(new Error('no answer'));
  };
  const quiet = stage.settlement({ provider });
  await quiet.publishing.act({ merchantId: drop.merchantId, drop: drop.id, action: 'cancel' });
  await quiet.start();
  await eventually(() => asked > 0);
  for (let run = 1; run <= 5; run += 1) await quiet.background().redrive.runOnce();
  await quiet.stop();
  expect(asked).toBe(1);
  expect(await refunds()).toHaveLength(1);
  provider.lookUpRefunds = told;
  const open = stage.settlement({ provider });
  await open.start();
  onTestFinished(open.stop);
  await stage.reaches(id, 'refunded');
  expect((await refunds()).map(({ amount, state }) => [amount, state])).toEqual([
    [700, 'done'],
    [price - 700, 'done'],
  ]);
  expect(await payment()).toMatchObject({ state: 'refunded', amountRefunded: price });
});

const manual = readFileSync('docs/operations.md', 'utf8');
const [, notes = ''] = /```sql\nbegin;\n([^`]*dealt_with_at[^`]*)commit;\n```/.exec(manual) ?? [];

/** Notes a refund as paid in another way with the manual's own statements. */
async function note(refund: string): Promise<void> {
  await stage.ledger.database.transaction(async (query) => {
    for (const statement of notes.replaceAll('the refund', refund).split(';')) {
      if (statement.trim() !== '') await query(statement);
    }
  });
}

test('A failed part that was paid to the buyer in another way counts as refunded: a cancelled drop refunds the rest alone', async () => {
  const { desk, drop, id, reference, refunds, refuse, payment } = await aSale();
  refuse(true);
  const part = { merchantId: newMerchantId(), amount: 700, key: 'k', reason: '' };
  await desk.refunds.refundPart(id, part);
  refuse(false);
  await note(`${reference}r1`);
  expect(await payment()).toMatchObject({ state: 'captured', amountRefunded: 700 });
  expect(await stage.ledger.audit.mismatches(drop.id)).toEqual([]);
  expect(await desk.refunds.refundPart(id, { ...part, amount: price, key: 'too much' })).toEqual({
    kind: 'exceeds',
    refundable: price - 700,
  });
  await desk.publishing.act({ merchantId: drop.merchantId, drop: drop.id, action: 'cancel' });
  await stage.reaches(id, 'refunded');
  expect((await refunds()).map(({ amount, state }) => [amount, state])).toEqual([
    [700, 'failed'],
    [price - 700, 'done'],
  ]);
  expect(await payment()).toMatchObject({ state: 'refunded', amountRefunded: price });
  expect(await stage.ledger.audit.mismatches(drop.id)).toEqual([]);
});

test('A whole refund that was paid in another way ends its order, and asking again moves no money', async () => {
  const { desk, id, reference, refunds, refuse, payment, stock } = await aSale();
  refuse(true);
  await desk.refunds.refund(id, '');
  refuse(false);
  await note(`${reference}r1`);
  const refund = { reference: `${reference}r1` };
  expect(await desk.refunds.refund(id, '')).toMatchObject({ isDone: true, refund });
  await stage.reaches(id, 'refunded');
  expect(await refunds()).toHaveLength(1);
  expect(await payment()).toMatchObject({ state: 'refunded', amountRefunded: price });
  expect(await stock()).toMatchObject({ available: 10, sold: 0 });
});

test('While the outcome of a failed refund is unknown, a repeated part that was made and a refund of which nothing is left are answered', async () => {
  const { desk, id, provider, reference, refunds, refuse, book } = await aSale();
  const part = { merchantId: newMerchantId(), amount: 700, key: 'k', reason: '' };
  refuse(true);
  await desk.refunds.refundPart(id, part);
  refuse(false);
  const made = { ...part, key: 'made' };
  await desk.refunds.refundPart(id, made);
  const lookUpRefunds = () => Promise.reject(new Error('no answer'));
  const quiet = stage.settlement({ provider: { ...provider, lookUpRefunds } });
  const again = { isDone: true, refund: { reference: `${reference}r2`, state: 'done' } };
  expect(await quiet.refunds.refundPart(id, made)).toMatchObject(again);
  expect(await quiet.refunds.refundPart(id, part)).toEqual({ kind: 'unsure' });
  expect(await quiet.refunds.refund(id, '')).toEqual({ kind: 'unsure' });
  book.set(`${reference}r1`, 'failed');
  await desk.refunds.refund(id, '');
  expect(await quiet.refunds.refund(id, '')).toMatchObject({ isDone: true });
  expect(await refunds()).toHaveLength(3);
});

test('A refund that was paid in another way keeps no other refund waiting for what its provider says', async () => {
  const { desk, id, provider, reference, refunds, refuse } = await aSale();
  refuse(true);
  const part = { merchantId: newMerchantId(), amount: 700, key: 'k', reason: '' };
  await desk.refunds.refundPart(id, part);
  refuse(false);
  await note(`${reference}r1`);
  provider.lookUpRefunds = () => Promise.reject(new Error('no answer'));
  const asked = await stage.settlement({ provider }).refunds.refund(id, '');
  expect(asked).toMatchObject({ isDone: true, refund: { amount: price - 700 } });
  expect(await refunds()).toHaveLength(2);
});

test('A refund that was paid in another way counts as paid while its provider goes on with it and after it fails again, and is never paid a second time', async () => {
  const { desk, drop, id, reference, refunds, refuse, payment, book, notified } = await aSale();
  refuse(true);
  const part = { merchantId: newMerchantId(), amount: 700, key: 'k', reason: '' };
  await desk.refunds.refundPart(id, part);
  refuse(false);
  await note(`${reference}r1`);
  const reaches = (state: string) =>
    eventually(async () => (await refunds())[0]?.state === state && (await payment()));
  const again = { kind: 'asked', isDone: true, refund: { reference: `${reference}r1` } };
  book.set(`${reference}r1`, 'pending');
  await notified(1);
  expect(await reaches('pending')).toMatchObject({ amountRefunded: 700 });
  expect(told(id, twice)).toBe(true);
  expect(await desk.refunds.refundPart(id, part)).toMatchObject(again);
  book.set(`${reference}r1`, 'failed');
  await notified(2);
  expect(await reaches('failed')).toMatchObject({ amountRefunded: 700 });
  expect(await desk.refunds.refundPart(id, part)).toMatchObject(again);
  await desk.publishing.act({ merchantId: drop.merchantId, drop: drop.id, action: 'cancel' });
  await stage.reaches(id, 'refunded');
  expect((await refunds()).map(({ amount, state }) => [amount, state])).toEqual([
    [700, 'failed'],
    [price - 700, 'done'],
  ]);
  expect(await stage.ledger.audit.mismatches(drop.id)).toEqual([]);
});

const twice = 'refund that was paid in another way goes on: the buyer is paid twice';

test('A refund that was paid in another way and is made by its provider, too, raises an alarm and counts once', async () => {
  const { desk, drop, id, reference, refunds, refuse, payment, book, notified } = await aSale();
  refuse(true);
  const part = { merchantId: newMerchantId(), amount: 700, key: 'k', reason: '' };
  await desk.refunds.refundPart(id, part);
  await note(`${reference}r1`);
  book.set(`${reference}r1`, 'refunded');
  await notified(1);
  await eventually(async () => (await refunds())[0]?.state === 'done');
  expect(await refunds()).toMatchObject([{ dealtWithAt: expect.any(Number) }]);
  expect(await payment()).toMatchObject({ amountRefunded: 700 });
  expect(told(id, twice)).toBe(true);
  expect(await stage.ledger.audit.mismatches(drop.id)).toEqual([]);
});

test('A refund that fails between the check and the decision is not asked for anew while an earlier one is in doubt', async () => {
  const { desk, id, provider, reference, refunds, refuse, book } = await aSale();
  refuse(true);
  const part = { merchantId: newMerchantId(), amount: 700, key: 'k', reason: '' };
  await desk.refunds.refundPart(id, part);
  refuse(false);
  book.set(`${reference}r1`, 'failed');
  await desk.refunds.refund(id, '');
  await desk.stop();
  const { payments } = stage.ledger;
  const fails = async () => {
    const fact = { reference: `${reference}r2`, state: 'failed' as const };
    await payments.recordRefunds([fact], { checked: true });
  };
  const lookUpRefunds = () => Promise.reject(new Error('no answer'));
  const quiet = stage.settlement({
    provider: { ...provider, lookUpRefunds },
    ledger: {
      ...stage.ledger,
      payments: {
        ...payments,
        async askRefund(...asked) {
          await fails();
          await payments.askRefund(...asked);
        },
        async askPartialRefund(wanted) {
          await fails();
          return await payments.askPartialRefund(wanted);
        },
      },
    },
  });
  const other = { ...part, amount: price, key: 'other' };
  expect(await quiet.refunds.refundPart(id, other)).toEqual({ kind: 'exceeds', refundable: 0 });
  await quiet.refunds.refund(id, '');
  expect((await refunds()).map(({ state }) => state)).toEqual(['failed', 'failed']);
});

test('A refund without restocking takes the units out of the allotment, once, whatever dies', async () => {
  const { desk, id, drop, stock, reference } = await aSale();
  const died = Symbol('died');
  const dying = stage.settlement({
    onStep: (step) => {
      if (step === 'refunded') throw died;
    },
    provider: aBank().provider,
  });
  // The decision is written, and the process that wrote it dies.
  await dying.refunds.refund(id, '', { restock: false }).catch(() => {});
  for (let times = 1; times <= 2; times += 1) await desk.refunds.refund(id, '', { restock: true });
  await stage.reaches(id, 'refunded');
  expect(await stock()).toMatchObject({ available: 9, held: 0, sold: 0, allotment: 9 });
  await eventually(async () => (await stage.ledger.orders.adjustments(drop.id)).length === 1);
  expect(await stage.ledger.audit.items(drop.id)).toMatchObject([{ allotment: 10, adjusted: 9 }]);
  expect(await stage.ledger.orders.adjustments(drop.id)).toMatchObject([
    { delta: -1, reason: 'refunded, not restocked' },
  ]);
  expect((await stage.ledger.payments.refundsOf([reference])).length).toBe(1);
  const again = await stage.lanes.writeOff({ drop: drop.id, lane: 0 }, [id.slice(-22)]);
  expect(again).toMatchObject([{ status: 'already' }]);
  expect(await stock()).toMatchObject({ available: 9, allotment: 9 });
  await desk.stop();
});

test('A provider that answers about a refund nobody asked about changes no other refund', async () => {
  const first = await aSale();
  first.refuse(true);
  await first.desk.refunds.refund(first.id, '');
  const { provider } = aBank();
  const stranger = `${first.reference}r1`;
  const desk = stage.settlement({
    provider: {
      ...provider,
      refund: async (refunds) => [
        { refundReference: stranger, kind: 'refunded', amount: price },
        ...refunds.map(({ refundReference, amount }): RefundOutcome => {
          return { refundReference, kind: 'refunded', amount };
        }),
      ],
    },
  });
  const drop = await stage.publish();
  const [id] = await stage.reserve(drop, ['of a confused bank'], { fund: 0 });
  await stage.reaches(id, 'paid');
  await desk.refunds.refund(id, '');
  expect(await stage.ledger.payments.ofOrders([id])).toMatchObject([{ state: 'refunded' }]);
  expect(await first.refunds()).toMatchObject([{ state: 'failed' }]);
  await first.desk.stop();
});
