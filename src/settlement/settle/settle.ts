import type { DropId, OrderId } from '../../domain/ids.ts';
import type { Order } from '../../domain/order.ts';
import type { DropTerms } from '../../drops/drop-terms.ts';
import type { Lanes } from '../../inventory/lanes.ts';
import type { Payments } from '../../ledger/payments/payments.ts';
import type { RecordedPayment } from '../../ledger/payments/results.ts';
import type { Payment } from '../../ledger/payments/row.ts';
import type { Log } from '../../log.ts';
import type { Providers } from '../../payments/provider.ts';
import type { PaymentCount } from '../metrics/payment-metrics.ts';
import { openMoving } from './apply-outcome.ts';
import {
  type Case,
  digestOf,
  eachLane,
  isOpen,
  newCase,
  type Seen,
  type SeenCase,
  type Settled,
} from './batch.ts';
import type { AtOnce } from './charge-in-ledger.ts';
import type { HoldDeferral } from './hold-deferral.ts';
import { engineStarts } from './payment-rules.ts';
import type { Charging } from './provider-calls.ts';
import type { Refunds } from './refunds.ts';

export type Settle = (ids: readonly OrderId[]) => Promise<Settled[]>;

export type SettleStep = 'begun' | 'charged' | 'recorded' | 'moved';

export type SettleOptions = {
  lanes: Lanes;
  payments: Payments;
  providers: Providers;
  atOnce: AtOnce;
  charging: Charging;
  refunds: Refunds;
  holdDeferral: HoldDeferral;
  termsOf(drop: DropId): Promise<DropTerms | undefined>;
  /** Redis' clock, in ms: it alone says whether a hold has ended. */
  redisNow(): Promise<number>;
  log: Log;
  onPayment?(provider: string, outcome: PaymentCount, by?: number): void;
  onStep?(step: SettleStep): void | Promise<void>;
};

/**
 * Settles orders in whatever state they are: charges the reserved ones that the engine charges, asks
 * after payments that buyers began, finishes what somebody else began, and gives back money that found
 * no unit. Any number may run at once over the same orders, since the attempt in the ledger, the
 * reference at the provider and the state in the lane each let their step happen once.
 */
export function openSettle(options: SettleOptions): Settle {
  const { lanes, payments, providers, atOnce, charging, termsOf, redisNow, log } = options;
  const { holdDeferral, onPayment, onStep } = options;
  const moving = openMoving(options);

  return async function settle(ids) {
    const cases = new Map(ids.map((id) => [id, newCase(id)]));
    const all = [...cases.values()];
    await look(all);
    const seen = all.filter((one): one is SeenCase => one.seen !== undefined);
    await begin(seen);
    await onStep?.('begun');
    const facts = await charging(seen);
    await onStep?.('charged');
    const recorded = await payments.record(facts);
    const results = new Map(recorded.map((result) => [result.reference, result]));
    await readAgain(seen.filter((one) => noteResults(one, results)));
    await onStep?.('recorded');
    await moving.giveBack(await moving.move(seen));
    await moving.endPolling(seen);
    await holdDeferral.lift(seen.filter((one) => isToLift(one, results)).map(({ id }) => id));
    await onStep?.('moved');
    return ids.map((id) => cases.get(id)?.settled ?? { kind: 'later', why: 'bug: left undecided' });
  };

  /** Whether an order goes on waiting for its buyer although its open payment has just ended. */
  function isToLift(
    { attempts, settled, seen }: SeenCase,
    results: Map<string, RecordedPayment>,
  ): boolean {
    if (settled?.kind !== 'waiting' || seen.order.state !== 'reserved') return false;
    const isEnded = ({ reference, provider }: Payment) => {
      return results.get(reference)?.changed && providers.get(provider)?.startedBy === 'buyer';
    };
    return attempts.some(isEnded) && !attempts.some(isOpen);
  }

  /** True when a payment that the buyer began turned out captured. */
  function noteResults({ attempts }: SeenCase, results: Map<string, RecordedPayment>): boolean {
    let isPaid = false;
    for (const payment of attempts) {
      const result = results.get(payment.reference);
      Object.assign(payment, result);
      if (!result?.changed) continue;
      count(payment);
      const byBuyer = providers.get(payment.provider)?.startedBy === 'buyer';
      isPaid ||= byBuyer && payment.state === 'captured';
    }
    return isPaid;
  }

  /**
   * Another payment of the order may have turned out captured at the same time, in other hands: whoever
   * reads both, now that both are written, gives one back.
   */
  async function readAgain(cases: SeenCase[]): Promise<void> {
    const found = await payments.ofOrders(cases.map((one) => one.id));
    const byOrder = Map.groupBy(found, (payment) => payment.orderId);
    for (const one of cases) one.attempts = byOrder.get(one.id) ?? one.attempts;
  }

  function count({ provider, state }: Payment): void {
    if (state === 'captured' || state === 'declined') onPayment?.(provider, state);
  }

  /** Sees where each order stands in its lane: that decides what may still be done about it. */
  async function look(cases: Case[]): Promise<void> {
    const now = await redisNow();
    await eachLane(cases, async (ref, group) => {
      const [terms, found] = await Promise.all([
        termsOf(ref.drop),
        lanes.find(ref, group.map(digestOf)),
      ]);
      for (const [index, one] of group.entries()) {
        const order = found[index];
        if (order && terms) one.seen = { order, terms, now, isHeld: isHeld(order, now) };
        else {
          log.error({ order: one.id }, 'an order to settle is not in its lane');
          one.settled = { kind: 'lost' };
        }
      }
    });
  }

  /** Begins a payment for each order that the engine charges, and finds what was begun for the rest. */
  async function begin(cases: SeenCase[]): Promise<void> {
    const mayStart = ({ seen }: SeenCase) => seen.isHeld && engineStarts(seen, providers);
    const charged = await atOnce(cases.filter(mayStart).map((one) => one.seen));
    for (const one of cases) {
      const payment = charged.get(one.id);
      if (!payment) continue;
      one.attempts = [payment];
      count(payment);
    }
    const rest = cases.filter((one) => one.attempts.length === 0);
    const found = Map.groupBy(
      await payments.ofOrders(rest.map((one) => one.id)),
      (payment) => payment.orderId,
    );
    for (const one of rest) one.attempts = found.get(one.id) ?? [];
    const unbegun = rest.filter((one) => one.attempts.length === 0 && mayStart(one));
    const begun = await payments.begin(unbegun.map((one) => startOf(one.seen)));
    for (const [index, one] of unbegun.entries()) {
      const { fresh, ...payment } = begun[index] as (typeof begun)[number];
      Object.assign(one, { attempts: [payment], fresh });
    }
  }
}

function isHeld(order: Order, now: number): boolean {
  return order.state === 'reserved' && order.expiresAt > now;
}

function startOf({ order: { id, drop, amount, method }, terms: { currency } }: Seen) {
  return { orderId: id, drop, amount, currency, provider: method };
}
