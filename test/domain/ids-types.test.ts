import { expect, expectTypeOf, test } from 'vitest';
import {
  type BuyerId,
  type DropId,
  dropCode,
  isDropId,
  isOrderId,
  type MerchantId,
  newDropId,
  newMerchantId,
  type OrderId,
  orderId,
  orderRef,
  type PayableId,
  type PaymentReference,
  parseOrderId,
  placeOf,
} from '../../src/domain/ids.ts';
import type { MerchantKeys } from '../../src/http/auth/merchants.ts';
import type { CredentialRefusal } from '../../src/http/auth/refused.ts';
import type { Drops } from '../../src/ledger/drops.ts';
import type { Merchants } from '../../src/ledger/merchants.ts';
import type { Orders } from '../../src/ledger/orders.ts';
import type { Payments } from '../../src/ledger/payments/payments.ts';
import type { Refund } from '../../src/ledger/payments/refunds.ts';
import { type Payment, paymentReference } from '../../src/ledger/payments/row.ts';
import type { WalletPasswords } from '../../src/ledger/wallet/passwords.ts';
import { topUpId } from '../../src/ledger/wallet/topups.ts';
import type { BillLine, Notification, PaymentProvider } from '../../src/payments/provider.ts';
import { isPaymentReference } from '../../src/payments/stripe/references.ts';

// The compiler proves these titles: a line under `@ts-expect-error` that compiles is an error.

const drop = newDropId();
const ref = orderRef(drop, 'ann', 'tap-1', 4);
const order = orderId(ref);
const topUp = topUpId('ann', 'fill');
const merchant = newMerchantId();
const reference = paymentReference(order, 1, 'stripe');

/** Takes a call that must not compile, and does not make it. */
const isRefused = (call: () => unknown) => expectTypeOf(call).toBeFunction();

test("An order's id is not taken where a drop's id is asked for", () => {
  // @ts-expect-error
  isRefused(() => orderRef(order, 'ann', 'tap-1', 4));
  // @ts-expect-error
  isRefused(() => dropCode(order));
  // @ts-expect-error
  isRefused(() => orderId({ ...ref, drop: order }));
  // @ts-expect-error
  isRefused((drops: Drops) => drops.get(order));
  expect(isDropId(order)).toBe(false);
});

test("A drop's id is not taken where an order's id is asked for", () => {
  // @ts-expect-error
  isRefused(() => placeOf(drop));
  // @ts-expect-error
  isRefused((orders: Orders) => orders.get(drop));
  expect(isOrderId(drop)).toBe(false);
});

test('A top-up can be paid for like an order and is not taken for one', () => {
  expectTypeOf(topUp).toExtend<PayableId>();
  expectTypeOf(order).toExtend<PayableId>();
  expectTypeOf(drop).not.toExtend<PayableId>();
  // @ts-expect-error
  isRefused(() => placeOf(topUp));
  expect(isOrderId(topUp)).toBe(false);
});

test("A merchant's id and a drop's id are not taken for each other", () => {
  // @ts-expect-error
  isRefused((drops: Drops) => drops.getOwned(drop, merchant));
  // @ts-expect-error
  isRefused((drops: Drops) => drops.listOwned(drop, { limit: 1 }));
  // @ts-expect-error
  isRefused((merchants: Merchants) => merchants.issueKey(drop));
  // @ts-expect-error
  isRefused((drops: Drops) => drops.get(merchant));
  // @ts-expect-error
  isRefused(() => placeOf(merchant));
  expect(isDropId(merchant)).toBe(false);
  expect(isOrderId(merchant)).toBe(false);
});

test("A merchant's id comes from a new merchant, from the ledger or from a checked API key", () => {
  const text: string = merchant;
  // @ts-expect-error
  isRefused((drops: Drops) => drops.listOwned(text, { limit: 1 }));
  // @ts-expect-error
  isRefused((merchants: Merchants) => merchants.issueKey(text));
  expectTypeOf<Awaited<ReturnType<MerchantKeys['identify']>>>().toEqualTypeOf<
    MerchantId | CredentialRefusal
  >();
  expectTypeOf<Awaited<ReturnType<Merchants['verify']>>>().toEqualTypeOf<MerchantId | undefined>();
  expect(merchant).toMatch(/^mer_[a-z0-9]{12}$/);
});

test("A payment's reference and other ids, ours or a provider's, are not taken for each other", () => {
  // @ts-expect-error
  isRefused((payments: Payments) => payments.askRefund([order]));
  // @ts-expect-error
  isRefused((payments: Payments) => payments.endPolling([topUp]));
  // @ts-expect-error
  isRefused((payments: Payments, of: Payment) => payments.refundsOf([of.providerReference ?? '']));
  // @ts-expect-error
  isRefused((payments: Payments, of: Refund) => payments.refundsOf([of.reference]));
  // @ts-expect-error
  isRefused((payments: Payments) => payments.record([{ reference: drop, state: 'captured' }]));
  // @ts-expect-error
  isRefused((provider: PaymentProvider) => provider.lookUp([{ reference: order, startedAt: 0 }]));
  // @ts-expect-error
  isRefused(() => placeOf(reference));
  // @ts-expect-error
  isRefused(() => paymentReference(reference, 1));
  expect(isOrderId(reference)).toBe(false);
});

test("A reference that a provider names is not taken for a payment's before it is looked up", () => {
  type Told = Notification & { kind: 'verified' };
  // @ts-expect-error
  isRefused((payments: Payments, told: Told) => payments.endPolling([told.reference]));
  // @ts-expect-error
  isRefused((payments: Payments, line: BillLine) => payments.askRefund([line.reference]));
  const text: string = reference;
  expect(isPaymentReference(text)).toBe(true);
  if (isPaymentReference(text)) expectTypeOf(text).toEqualTypeOf<PaymentReference>();
});

test('No other id is taken for a buyer, whose own id is any text', () => {
  // @ts-expect-error
  isRefused(() => orderRef(drop, drop, 'tap-1', 4));
  // @ts-expect-error
  isRefused(() => topUpId(order, 'fill'));
  // @ts-expect-error
  isRefused((passwords: WalletPasswords) => passwords.check(merchant, 'secret'));
  // @ts-expect-error
  isRefused((buyer: BuyerId) => placeOf(buyer));
  // @ts-expect-error
  isRefused((buyer: BuyerId, drops: Drops) => drops.listOwned(buyer, { limit: 1 }));
  expect(topUpId('ann', 'fill')).toBe(topUp);
});

test('A text is not taken as an id before its form was checked', () => {
  const text: string = order;
  // @ts-expect-error
  isRefused(() => placeOf(text));
  // @ts-expect-error
  isRefused(() => orderRef(text, 'ann', 'tap-1', 4));
  if (isOrderId(text)) expectTypeOf(text).toEqualTypeOf<OrderId>();
  if (isDropId(text)) expectTypeOf(text).toEqualTypeOf<DropId>();
  expectTypeOf(parseOrderId(text)).toEqualTypeOf<typeof ref | undefined>();
  expect(placeOf(order)).toEqual(ref);
});
