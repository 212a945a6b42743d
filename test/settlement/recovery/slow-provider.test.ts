import { pino } from 'pino';
import { expect, test } from 'vitest';
import { orderId, orderRef } from '../../../src/domain/ids.ts';
import { type Payment, paymentReference } from '../../../src/ledger/payments/row.ts';
import type { Outcome, PaymentProvider } from '../../../src/payments/provider.ts';
import { openPaymentPolling } from '../../../src/settlement/recovery/payment-polling.ts';
import { type Begun, settlementItem } from '../../../src/settlement/settle/batch.ts';
import { openProviderCalls } from '../../../src/settlement/settle/provider-calls.ts';
import { aDrop, anItem } from '../../support/drops.ts';
import { eventually } from '../../support/eventually.ts';
import { openTestLedger } from '../../support/test-ledger.ts';
import { gate } from '../stage.ts';

const log = pino({ level: 'silent' });
const { unitAmount: amount } = anItem();

/** A provider at which buyers pay, that answers look-ups as it is told to. */
function aProvider(name: string, lookUp: PaymentProvider['lookUp']): PaymentProvider {
  const never = () => Promise.reject(new Error(`bug: ${name} is only looked at`));
  const takes = () => true;
  return {
    name,
    startedBy: 'buyer',
    takes,
    scenes: [],
    start: never,
    lookUp,
    close: never,
    refund: never,
  };
}

const captured: PaymentProvider['lookUp'] = async (payments) => {
  return payments.map(({ reference }): Outcome => ({ reference, kind: 'captured', amount }));
};

function anItemPaidAt(provider: string): Begun & { attempts: [Payment] } {
  const { merchantId, title, currency, holdMs, lanes, id: drop } = aDrop();
  const place = orderRef(drop, 'buyer', provider, lanes);
  const id = orderId(place);
  const now = Date.now();
  const order = {
    id,
    drop,
    buyer: 'buyer',
    state: 'reserved' as const,
    item: 0,
    quantity: 1,
    amount,
    expiresAt: now + 60_000,
    version: 1,
    method: provider,
    reason: '' as const,
  };
  const terms = {
    id: drop,
    merchantId,
    title,
    currency,
    holdMs,
    lanes,
    passwordAbove: undefined,
    skus: ['phone'],
    titles: ['A phone'],
  };
  const payment: Payment = {
    orderId: id,
    drop,
    attempt: 1,
    reference: paymentReference(id, 1, provider),
    provider,
    amount,
    currency,
    state: 'started',
    reason: '',
    amountCaptured: 0,
    amountRefunded: 0,
    restock: true,
    startedAt: now,
    providerReference: null,
    action: null,
    capturedAt: null,
    declinedAt: null,
    refundedAt: null,
    refundAskedAt: null,
    nextPollAt: now,
    payableUntil: now + 50_000,
  };
  return {
    ...settlementItem(id),
    order,
    terms,
    isHeld: true,
    now,
    attempts: [payment],
    isFresh: false,
  };
}

test('A provider that does not answer does not delay the calls of the others', async () => {
  const slow = gate();
  const callProviders = openProviderCalls({
    log,
    providers: new Map([
      ['slow', aProvider('slow', async (payments) => slow.wait().then(() => captured(payments)))],
      // Were it asked after the slow one, that would wait for ever.
      ['quick', aProvider('quick', async (payments) => captured(payments).finally(slow.open))],
    ]),
  });
  const facts = await callProviders([anItemPaidAt('slow'), anItemPaidAt('quick')]);
  expect(facts.map(({ state }) => state)).toEqual(['captured', 'captured']);
});

test('Payments at a provider that hangs do not keep payments at another from being looked up', async () => {
  const ledger = await openTestLedger();
  const hanging = gate();
  const settled: string[] = [];
  const orderOf = new Map<string, string>();
  const polling = openPaymentPolling({
    payments: ledger.payments,
    log,
    everyMs: 10,
    settleTopUps: async () => {},
    redisNow: async () => Date.now(),
    async settle(ids) {
      if (ids.some((id) => orderOf.get(id) === 'hanging')) await hanging.wait();
      settled.push(...ids);
      return ids.map(() => ({ kind: 'waiting' as const }));
    },
  });
  const begin = async (provider: string) => {
    const [payment] = anItemPaidAt(provider).attempts;
    orderOf.set(payment.orderId, provider);
    const { nextPollAt, payableUntil, ...start } = payment;
    const times = { nextPollAt: nextPollAt ?? 0, payableUntil: payableUntil ?? 0 };
    await ledger.payments.begin([{ ...start, ...times }]);
    return payment.orderId;
  };
  polling.start();
  // More batches than it may keep in hand.
  for (let nth = 0; nth < 8; nth += 1) {
    await begin('hanging');
    const id = await begin('quick');
    await eventually(() => settled.includes(id));
  }
  expect(settled.every((id) => orderOf.get(id) === 'quick')).toBe(true);
  hanging.open();
  await eventually(() => new Set(settled).size === orderOf.size);
  await polling.stop();
  await ledger.close();
});
