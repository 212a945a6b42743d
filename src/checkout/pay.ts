import { allowsMethod } from '../domain/drop.ts';
import { type BuyerId, type DropId, type OrderId, placeOf } from '../domain/ids.ts';
import type { Order } from '../domain/order.ts';
import type { DropTerms } from '../drops/drop-terms.ts';
import type { Lanes } from '../inventory/lanes.ts';
import type { Payments } from '../ledger/payments/payments.ts';
import type { Payment } from '../ledger/payments/row.ts';
import type { Accounts } from '../ledger/wallet/accounts.ts';
import type { WalletAllowances } from '../ledger/wallet/allowances.ts';
import type { PasswordRefusal, WalletPasswords } from '../ledger/wallet/passwords.ts';
import type { ClientAction } from '../payments/provider.ts';
import { isKept, isOpen, type Settled } from '../settlement/settle/batch.ts';
import type { HoldDeferral } from '../settlement/settle/hold-deferral.ts';
import { allowableOf, needsPassword, payableUntil } from '../settlement/settle/payment-rules.ts';
import { chargeOf } from '../settlement/settle/provider-calls.ts';
import type { Choice, Chosen, PaymentAttempts, Refusal } from './attempts.ts';

/** The result of a buyer's request to pay. */
export type PayResult =
  /** Begun now or before: the payment as it is, and what the client has to do next. */
  | { kind: 'begun'; payment: Payment; action?: ClientAction | undefined }
  | Refusal
  | { kind: 'unknown_order' }
  /** The order is paid, or has ended unpaid. */
  | { kind: 'over'; state: Exclude<Order['state'], 'reserved'> }
  /** The hold is about to end. */
  | { kind: 'too_late' }
  /** The order has had the most payments that may be begun for it. */
  | { kind: 'too_many' }
  | { kind: 'insufficient_funds' }
  | { kind: 'password_needed' }
  | { kind: 'password'; check: PasswordRefusal }
  /** The provider refused it; another provider may accept it. */
  | { kind: 'refused' }
  /** A provider did not answer: a repeat continues from here. */
  | { kind: 'unknown' };

export type Pay = (
  id: OrderId,
  choice: Choice & { password?: string | undefined },
) => Promise<PayResult>;

/** A wish to pay for a reserved order, by a provider that is offered. */
type Wanted = Chosen & { order: Order; terms: DropTerms; choice: Choice; now: number };

/**
 * Begins the payment of a reserved order by the method that its buyer chooses. When the buyer changes
 * the method, the open payment is closed first, so that an order is never payable twice at a time.
 */
export function openPay(options: {
  lanes: Lanes;
  payments: Payments;
  accounts: Pick<Accounts, 'balance'>;
  passwords: Pick<WalletPasswords, 'check' | 'state'>;
  allowances: Pick<WalletAllowances, 'allow'>;
  paymentAttempts: PaymentAttempts;
  holdDeferral: HoldDeferral;
  settleOne(id: OrderId): Promise<Settled>;
  termsOf(drop: DropId): Promise<DropTerms | undefined>;
  redisNow(): Promise<number>;
}): Pay {
  const { lanes, payments, accounts, passwords, allowances, paymentAttempts } = options;
  const { holdDeferral, settleOne, termsOf, redisNow } = options;

  return async function pay(id, choice) {
    const place = placeOf(id);
    const [[order], terms] = await Promise.all([
      lanes.find(place, [place.digest]),
      termsOf(place.drop),
    ]);
    if (!order || !terms) return { kind: 'unknown_order' };
    if (order.state !== 'reserved') return { kind: 'over', state: order.state };
    if (!allowsMethod(terms, choice.method)) return { kind: 'not_offered' };
    const chosen = paymentAttempts.choose(choice, {
      currency: terms.currency,
      amount: order.amount,
    });
    if ('refusal' in chosen) return chosen.refusal;
    const wanted: Wanted = { ...chosen, order, terms, choice, now: await redisNow() };
    const isByBuyer = chosen.provider.startedBy === 'buyer';
    const attempts = await payments.ofOrders([id]);
    if (attempts.some(isKept)) return await settled(order);
    const until = isByBuyer ? payableUntil(order, terms) : order.expiresAt;
    if (wanted.now >= until) return { kind: 'too_late' };
    const refusal = isByBuyer ? undefined : await fromWallet(order, terms, choice.password);
    if (refusal) return refusal;
    return await openAndStart(wanted, attempts, until);
  };

  async function openAndStart(
    wanted: Wanted,
    attempts: readonly Payment[],
    until: number,
  ): Promise<PayResult> {
    const { order, terms, now } = wanted;
    const { id: orderId, drop, amount } = order;
    const payable = { orderId, drop, amount, currency: terms.currency };
    const opened = await paymentAttempts.open(wanted, { payable, attempts, now, until });
    switch (opened.kind) {
      case 'open':
        return wanted.provider.startedBy === 'engine'
          ? await chargeWallet(order)
          : await startAtProvider(wanted, opened.payment);
      case 'captured':
        return await settled(order);
      case 'unknown':
        // The payment that was open before may be closed, and none open in its place.
        if (attempts.some(isOpen)) await holdDeferral.lift([orderId]);
        return opened;
      case 'too_many':
        return opened;
    }
  }

  /**
   * The reason why the wallet cannot pay, checked before anything is begun; undefined when it can. The
   * balance comes first: a password costs the processor a thousand times more to check.
   */
  async function fromWallet(
    order: Order,
    terms: DropTerms,
    password: string | undefined,
  ): Promise<PayResult | undefined> {
    const { buyer, amount } = order;
    const { currency } = terms;
    const balance = await accounts.balance({ kind: 'buyer', owner: buyer, currency });
    if (balance < amount) return { kind: 'insufficient_funds' };
    if (await isAllowed(order, terms)) return undefined;
    if (password === undefined) return await withoutPassword(buyer);
    const check = await passwords.check(buyer, password);
    return check.kind === 'right' ? undefined : { kind: 'password', check };
  }

  /** Whether the wallet may pay the order without its password. */
  async function isAllowed(order: Order, terms: DropTerms): Promise<boolean> {
    if (needsPassword(order, terms)) return false;
    const allowable = allowableOf(order, terms);
    return !allowable || (await allowances.allow([allowable])).has(order.id);
  }

  async function withoutPassword(buyer: BuyerId): Promise<PayResult> {
    const { set } = await passwords.state(buyer);
    return set ? { kind: 'password_needed' } : { kind: 'password', check: { kind: 'not_set' } };
  }

  async function chargeWallet(order: Order): Promise<PayResult> {
    await settleOne(order.id);
    const payment = (await payments.ofOrders([order.id])).at(-1);
    return payment ? { kind: 'begun', payment } : { kind: 'unknown' };
  }

  async function startAtProvider(wanted: Wanted, payment: Payment): Promise<PayResult> {
    const { provider, order, terms, scene, now } = wanted;
    const action = paymentAttempts.actionOf(payment, scene, now);
    if (action) return { kind: 'begun', payment, action };
    // After the payment is in the ledger and before it is begun at the provider: from here on, either
    // the hold waits until the payment is closed, or its units are gone and it is never begun.
    if (!(await holdDeferral.defer(placeOf(order.id)))) return await settled(order);
    const wish = paymentAttempts.wishOf(payment, wanted);
    const charge = chargeOf({ order, terms, payment, wish });
    const started = await paymentAttempts.start(provider, { payment, charge, scene, now });
    if (started.kind === 'refused') await holdDeferral.lift([order.id]);
    if (started.kind === 'waiting') {
      await holdDeferral.began(order.id, 'payable');
      return { kind: 'begun', payment, action: started.action };
    }
    if (started.kind === 'unknown') await holdDeferral.began(order.id, 'failed');
    return started.kind === 'captured' ? await settled(order) : started;
  }

  /** Settles an order whose payment is captured, and returns the state that it has then. */
  async function settled(order: Order): Promise<PayResult> {
    await settleOne(order.id);
    const place = placeOf(order.id);
    const [now] = await lanes.find(place, [place.digest]);
    if (!now || now.state === 'reserved') return { kind: 'unknown' };
    return { kind: 'over', state: now.state };
  }
}
