import { expect, test } from 'vitest';
import { orderId, orderRef } from '../../../src/domain/ids.ts';
import type { Order } from '../../../src/domain/order.ts';
import { type Payment, paymentReference } from '../../../src/ledger/payments/row.ts';
import type { Providers } from '../../../src/payments/provider.ts';
import { type Recorded, settlementItem } from '../../../src/settlement/settle/batch.ts';
import { decide } from '../../../src/settlement/settle/decide.ts';
import { aDrop } from '../../support/drops.ts';
import { aCashier } from '../cashier.ts';

const drop = aDrop();
const providers: Providers = new Map([['cashier', aCashier().provider]]);
const id = orderId(orderRef(drop.id, 'buyer', 'k', 1));

function aPayment(attempt: number, more: Partial<Payment>): Payment {
  return {
    orderId: id,
    drop: drop.id,
    attempt,
    reference: paymentReference(id, attempt),
    provider: 'cashier',
    amount: 100,
    currency: 'CNY',
    state: 'started',
    reason: '',
    amountCaptured: more.state === 'captured' ? 100 : 0,
    amountRefunded: 0,
    restock: true,
    startedAt: 0,
    providerReference: null,
    action: null,
    capturedAt: more.state === 'captured' ? attempt : null,
    declinedAt: null,
    refundedAt: null,
    refundAskedAt: null,
    nextPollAt: null,
    payableUntil: null,
    ...more,
  };
}

function decided(
  state: Order['state'],
  attempts: Partial<Payment>[],
  { isHeld = state === 'reserved' } = {},
) {
  const order: Order = {
    id,
    drop: drop.id,
    buyer: 'buyer',
    state,
    item: 0,
    quantity: 1,
    amount: 100,
    expiresAt: 1_000,
    version: 1,
    method: 'cashier',
    reason: '',
  };
  const item: Recorded = {
    ...settlementItem(id),
    order,
    terms: { ...drop, skus: [], titles: [], passwordAbove: undefined },
    now: isHeld ? 0 : 2_000,
    isHeld,
    attempts: attempts.map((more, index) => aPayment(index + 1, more)),
    isFresh: false,
    hasEnded: false,
  };
  const { step, refunds } = decide(item, providers);
  const back = refunds.map(({ payment, isLast }) => [payment.attempt, isLast]);
  return {
    step: { ...step, ...('payment' in step ? { payment: step.payment.attempt } : {}) },
    back,
  };
}

const captured = { state: 'captured' } as const;
const closed = { state: 'declined', reason: 'closed' } as const;
const declined = { state: 'declined', reason: 'declined' } as const;
const refundAsked = { state: 'captured', refundAskedAt: 1 } as const;
const leave = (kind: string) => ({ kind: 'leave', settled: { kind } });

test.each([
  [
    'of two captures keeps the first',
    'reserved',
    [captured, captured],
    { kind: 'confirm', payment: 1 },
    [[2, false]],
  ],
  [
    'late captured is sold if it can be',
    'released',
    [captured],
    { kind: 'confirm', payment: 1 },
    [],
  ],
  [
    'paid keeps its money and refunds a second capture',
    'paid',
    [captured, captured],
    leave('paid'),
    [[2, false]],
  ],
  ['refunded keeps no money', 'refunded', [captured], leave('refunded'), [[1, true]]],
  [
    'whose refund was decided is not sold',
    'released',
    [refundAsked],
    leave('released'),
    [[1, true]],
  ],
  [
    'with another amount captured is not sold',
    'reserved',
    [{ ...captured, amountCaptured: 99 }],
    leave('released'),
    [[1, true]],
  ],
  ['with an open payment waits for it', 'reserved', [closed, {}], leave('waiting'), []],
  [
    'whose payment was declined is released',
    'reserved',
    [declined],
    { kind: 'release', reason: 'declined' },
    [],
  ],
  [
    'whose payment was closed keeps the rest of its hold',
    'reserved',
    [closed],
    leave('waiting'),
    [],
  ],
  ['without a payment waits for its buyer', 'reserved', [], leave('waiting'), []],
  ['released with a closed payment stays released', 'released', [closed], leave('released'), []],
] as const)('An order %s', (_, state, attempts, step, back) => {
  expect(decided(state, [...attempts])).toEqual({ step, back });
});

test('An order whose hold has ended is released once its payment is closed, and not before', () => {
  const over = { isHeld: false };
  expect(decided('reserved', [{}], over).step).toEqual(leave('waiting'));
  expect(decided('reserved', [closed], over).step).toEqual({ kind: 'release', reason: 'expired' });
  expect(decided('reserved', [], over).step).toEqual(leave('lapsed'));
});
