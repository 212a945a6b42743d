import { inParts } from '../../batching/in-parts.ts';
import type { DropId, OrderId } from '../../domain/ids.ts';
import { found, required } from '../../domain/required.ts';
import type { DropTerms } from '../../drops/drop-terms.ts';
import type { Lanes } from '../../inventory/lanes.ts';
import type { Payments } from '../../ledger/payments/payments.ts';
import type { PaymentResult, RecordedPayment } from '../../ledger/payments/results.ts';
import type { Payment } from '../../ledger/payments/row.ts';
import type { WalletAllowances } from '../../ledger/wallet/allowances.ts';
import type { Log } from '../../log.ts';
import type { Providers } from '../../payments/provider.ts';
import type { PaymentCount } from '../metrics/payment-metrics.ts';
import { openApplyOutcome } from './apply-outcome.ts';
import {
  type Begun,
  eachLane,
  paymentStart,
  type Recorded,
  type Seen,
  type Settled,
  type SettlementItem,
  settlementItem,
} from './batch.ts';
import type { ChargeInLedger } from './charge-in-ledger.ts';
import type { HoldDeferral } from './hold-deferral.ts';
import { allowableOf, engineStarts } from './payment-rules.ts';
import type { ProviderCalls } from './provider-calls.ts';
import type { Refunds } from './refunds.ts';

/** Settles orders; the results are in the order of the ids. */
export type Settle = (ids: readonly OrderId[]) => Promise<Settled[]>;

export type SettleStep = 'begun' | 'charged' | 'recorded' | 'applied';

export type SettleOptions = {
  lanes: Lanes;
  payments: Payments;
  allowances: Pick<WalletAllowances, 'allow'>;
  providers: Providers;
  chargeInLedger: ChargeInLedger;
  callProviders: ProviderCalls;
  refunds: Refunds;
  holdDeferral: HoldDeferral;
  termsOf(drop: DropId): Promise<DropTerms | undefined>;
  /** Redis' clock, ms: it alone decides whether a hold has ended. */
  redisNow(): Promise<number>;
  log: Log;
  onPayment?: ((provider: string, outcome: PaymentCount, by?: number) => void) | undefined;
  onStep?: ((step: SettleStep) => void | Promise<void>) | undefined;
};

/** Failed calls of one batch: enough to find two orders among 256, and few while a store is away. */
const failuresMax = 24;

/**
 * Settles orders in whatever state they are: charges those that the engine charges, asks about payments
 * that buyers began, finishes what another process began, and refunds captures that have no unit. Any
 * number may run at once over the same orders: the attempt in the ledger, the reference at the provider
 * and the state in the lane each let their step happen once.
 */
export function openSettle(options: SettleOptions): Settle {
  const { lanes, payments, allowances, providers, chargeInLedger, callProviders, termsOf, log } =
    options;
  const { redisNow, onPayment, onStep } = options;
  const applyOutcome = openApplyOutcome(options);

  /**
   * Settles a batch; when that fails, its halves, so that an order that cannot be settled keeps no other
   * of its batch from being settled.
   * @throws the error of the batch when none of its orders could be settled
   */
  return async function settle(ids) {
    const settled = new Map<OrderId, Settled>();
    const failed = await inParts(
      ids,
      async (part) => {
        const results = await settleAll(part);
        for (const [index, id] of part.entries()) {
          settled.set(id, required(results[index], 'result of settling'));
        }
      },
      { failuresMax },
    );
    const [first] = failed;
    if (first && failed.length === ids.length) throw first.error;
    for (const { item, error } of failed) {
      log.warn({ err: error, order: item }, 'settling an order failed: it is tried again');
      const why = error instanceof Error ? error.message : String(error);
      settled.set(item, { kind: 'later', why });
    }
    return ids.map((id) => found(settled, id, 'result of settling'));
  };

  async function settleAll(ids: readonly OrderId[]): Promise<Settled[]> {
    const items = [...new Set(ids)].map(settlementItem);
    const seen = await see(items);
    const begun = await begin(seen);
    await onStep?.('begun');
    const results = await callProviders(begun);
    await onStep?.('charged');
    const recorded = await record(begun, results);
    await onStep?.('recorded');
    const applied = await applyOutcome(recorded);
    await onStep?.('applied');
    const settled = new Map([
      ...lostAmong(items, seen),
      ...applied.map((one): [OrderId, Settled] => [one.id, one.settled]),
    ]);
    return ids.map((id) => found(settled, id, 'result of settling'));
  }

  /** Reads each order from its lane: its state there decides what may still be done about it. */
  async function see(items: readonly SettlementItem[]): Promise<Seen[]> {
    const now = await redisNow();
    return await eachLane(items, async (ref, group) => {
      const [terms, orders] = await Promise.all([
        termsOf(ref.drop),
        lanes.find(
          ref,
          group.map(({ place }) => place.digest),
        ),
      ]);
      return group.flatMap((item, index) => {
        const order = orders[index];
        if (!order || !terms) return [];
        const isHeld = order.state === 'reserved' && order.expiresAt > now;
        return [{ ...item, order, terms, now, isHeld }];
      });
    });
  }

  function lostAmong(
    items: readonly SettlementItem[],
    seen: readonly Seen[],
  ): [id: OrderId, settled: Settled][] {
    if (seen.length === items.length) return [];
    const known = new Set(seen.map(({ id }) => id));
    const lost = items.filter(({ id }) => !known.has(id));
    for (const { id } of lost) log.error({ order: id }, 'order to settle is not in its lane');
    return lost.map(({ id }) => [id, { kind: 'lost' }]);
  }

  /** Begins a payment for each order that the engine charges, and reads the attempts of the others. */
  async function begin(items: readonly Seen[]): Promise<Begun[]> {
    const startable = new Set(await startableOf(items));
    const charged = await chargeInLedger(items.filter((item) => startable.has(item)));
    for (const payment of charged.values()) count(payment);
    const others = items.filter(({ id }) => !charged.has(id));
    const known = await attemptsOf(others.map(({ id }) => id));
    await shortenHolds(others.filter((item) => !startable.has(item) && !known.has(item.id)));
    const unbegun = others.filter((item) => startable.has(item) && !known.has(item.id));
    const begun = new Map(
      (await payments.begin(unbegun.map(paymentStart))).map((one) => [one.orderId, one]),
    );
    return items.map((item) => {
      const first = charged.get(item.id) ?? begun.get(item.id);
      const attempts = first ? [first] : (known.get(item.id) ?? []);
      return { ...item, attempts, isFresh: begun.get(item.id)?.fresh ?? false };
    });
  }

  /** The orders that the engine charges by itself, within what their wallets may pay so in a day. */
  async function startableOf(items: readonly Seen[]): Promise<Seen[]> {
    const own = items.filter((item) => item.isHeld && engineStarts(item, providers));
    const bounded = own.flatMap(({ order, terms }) => allowableOf(order, terms) ?? []);
    const allowed = await allowances.allow(bounded);
    return own.filter(({ id, terms }) => terms.passwordAbove === undefined || allowed.has(id));
  }

  /**
   * Of these orders, those that the engine was to charge and that turned out to need the password wait for
   * their buyers from now on, with the hold of an order whose payment is not begun.
   */
  async function shortenHolds(items: readonly Seen[]): Promise<void> {
    const waiting = items.filter((item) => {
      const isNew = item.isHeld && item.order.extensionMs === undefined;
      return isNew && engineStarts(item, providers);
    });
    await eachLane(waiting, (ref, group) => {
      return lanes.shorten(
        ref,
        group.map(({ place }) => place.digest),
      );
    });
  }

  async function attemptsOf(ids: readonly OrderId[]): Promise<Map<string, Payment[]>> {
    return Map.groupBy(await payments.ofOrders(ids), (payment) => payment.orderId);
  }

  /** Records the providers' answers and adds them to the attempts. */
  async function record(
    items: readonly Begun[],
    results: readonly PaymentResult[],
  ): Promise<Recorded[]> {
    const answers = new Map(
      (await payments.record(results)).map((answer) => [answer.reference, answer]),
    );
    const recorded = items.map((item) => withAnswers(item, answers));
    // Another process may have recorded another capture of the same order at the same time. Both are
    // written by now: the process that reads both refunds one.
    const captured = recorded.filter(({ attempts, hasEnded }) => {
      return hasEnded && attempts.some(({ state }) => state === 'captured');
    });
    const latest = await attemptsOf(captured.map(({ id }) => id));
    return recorded.map((item) => ({ ...item, attempts: latest.get(item.id) ?? item.attempts }));
  }

  function withAnswers(item: Begun, answers: ReadonlyMap<string, RecordedPayment>): Recorded {
    let hasEnded = false;
    const attempts = item.attempts.map((payment) => {
      const answer = answers.get(payment.reference);
      if (!answer) return payment;
      const latest = { ...payment, ...answer };
      if (answer.changed) {
        count(latest);
        hasEnded ||= providers.get(payment.provider)?.startedBy === 'buyer';
      }
      return latest;
    });
    return { ...item, attempts, hasEnded };
  }

  function count({ provider, state }: Payment): void {
    if (state === 'captured' || state === 'declined') onPayment?.(provider, state);
  }
}
