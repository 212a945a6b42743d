import { type LaneRef, type OrderRef, parseOrderId } from '../domain/ids.ts';
import type { Order, ReleaseReason } from '../domain/order.ts';
import { byLane, type Lanes } from '../inventory/lanes.ts';
import type { Confirmed, Released } from '../inventory/replies.ts';
import { type Payment, type Payments, paymentReference } from '../ledger/payments.ts';
import type { AtOnce } from './at-once.ts';
import type { Charging } from './charging.ts';
import type { Log } from './log.ts';
import type { Refunds } from './refunds.ts';
import type { Terms } from './terms.ts';

/** What settling came to for one order. */
export type Settled =
  /** Over: the lane has the order in this state. */
  | { kind: 'paid' | 'released' | 'refunded' }
  /** The hold has ended and nothing was charged: the sweeper of holds gives the units back. */
  | { kind: 'lapsed' }
  /** Not known yet, or not all the way: to be settled again. */
  | { kind: 'later'; why: string }
  /** The lane knows no such order. */
  | { kind: 'lost' };

export type Settle = (ids: readonly string[]) => Promise<Settled[]>;

export type SettleStep = 'begun' | 'charged' | 'recorded' | 'moved';

export type SettleOptions = {
  lanes: Lanes;
  payments: Payments;
  atOnce: AtOnce;
  charging: Charging;
  refunds: Refunds;
  termsOf(drop: string): Promise<Terms | undefined>;
  /** Redis' clock, in ms: it alone says whether a hold has ended. */
  redisNow(): Promise<number>;
  log: Log;
  onStep?(step: SettleStep): void | Promise<void>;
};

/** One order on its way through a batch. */
type Case = {
  id: string;
  place: OrderRef;
  seen?: { order: Order; terms: Terms; mayCharge: boolean };
  payment?: Payment;
  fresh?: boolean;
  settled?: Settled;
};

/** A case whose order was seen in its lane and whose payment has been begun. */
type Begun = Case & Required<Pick<Case, 'seen' | 'payment'>>;

/**
 * Settles orders in whatever state they are: charges the reserved ones, finishes what somebody
 * else began, and gives back money that found no unit. Any number may run at once over the same
 * orders, since the attempt in the ledger, the reference at the provider and the state in the lane
 * each let their step happen once.
 */
export function openSettle(options: SettleOptions): Settle {
  const { lanes, payments, atOnce, charging, refunds, termsOf, redisNow, log, onStep } = options;

  return async function settle(ids) {
    const cases = new Map(ids.map((id) => [id, newCase(id)]));
    const all = [...cases.values()];
    await look(all);
    await begin(all.filter((one) => one.seen));
    const begun = all.filter((one): one is Begun => one.payment !== undefined);
    await onStep?.('begun');
    const facts = await charging(begun.filter(isOpen).map(toCharge));
    await onStep?.('charged');
    const recorded = await payments.record(facts);
    const results = new Map(recorded.map((result) => [result.reference, result]));
    for (const one of begun) Object.assign(one.payment, results.get(one.payment.reference));
    await onStep?.('recorded');
    await giveBack(await move(begun));
    await onStep?.('moved');
    return ids.map((id) => cases.get(id)?.settled ?? { kind: 'later', why: 'bug: left undecided' });
  };

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
        if (!order || !terms) {
          log.error({ order: one.id }, 'an order to settle is not in its lane');
          one.settled = { kind: 'lost' };
        } else if (order.state === 'paid' || order.state === 'refunded') {
          one.settled = { kind: order.state };
        } else {
          const mayCharge = order.state === 'reserved' && order.expiresAt > now;
          one.seen = { order, terms, mayCharge };
        }
      }
    });
  }

  /** Begins a payment for each order that may be charged, and finds what was begun for the rest. */
  async function begin(cases: Case[]): Promise<void> {
    const charged = await atOnce(cases.flatMap(({ seen }) => (seen?.mayCharge ? [seen] : [])));
    for (const one of cases) Object.assign(one, { payment: charged.get(one.id) });
    const chargeable = cases.filter((one) => one.seen?.mayCharge && !one.payment);
    const begun = await payments.begin(
      chargeable.flatMap(({ id, seen }) => {
        if (!seen) return [];
        const { drop, amount, method: provider } = seen.order;
        return [{ orderId: id, drop, amount, provider, currency: seen.terms.currency }];
      }),
    );
    for (const [index, one] of chargeable.entries()) {
      const { fresh, ...payment } = begun[index] as (typeof begun)[number];
      Object.assign(one, { payment, fresh });
    }
    const rest = cases.filter((one) => !one.seen?.mayCharge);
    const found = await payments.find(rest.map((one) => paymentReference(one.id, 1)));
    const byOrder = new Map(found.map((payment) => [payment.orderId, payment]));
    for (const one of rest) {
      const payment = byOrder.get(one.id);
      if (payment) one.payment = payment;
      else one.settled = { kind: one.seen?.order.state === 'released' ? 'released' : 'lapsed' };
    }
  }

  /** Moves units to where the money says; gives the cases whose money has to go back. */
  async function move(cases: Begun[]): Promise<Begun[]> {
    const confirm: Begun[] = [];
    const release: Begun[] = [];
    const back: Begun[] = [];
    for (const one of cases) {
      const { payment, seen } = one;
      if (isOpen(one)) one.settled = { kind: 'later', why: `the payment is ${payment.state}` };
      else if (payment.refundAskedAt !== null) back.push(one);
      else if (payment.state === 'captured') confirm.push(one);
      else if (seen.order.state === 'reserved') release.push(one);
      else one.settled = { kind: 'released' };
    }
    const retaken: Begun[] = [];
    await eachLane(confirm, async (ref, group) => {
      const answers = await lanes.confirm(ref, group.map(digestOf));
      for (const [index, one] of group.entries()) {
        const { status } = answers[index] as Confirmed;
        if (status === 'gone') back.push(one);
        else if (status === 'retaken') retaken.push(one);
        one.settled = confirmed(answers[index] as Confirmed);
      }
    });
    await eachLane(release, async (ref, group) => {
      const asked = group.map((one) => ({ digest: digestOf(one), reason: reasonOf(one) }));
      const answers = await lanes.release(ref, asked);
      for (const [index, one] of group.entries())
        one.settled = released(answers[index] as Released);
    });
    return [...back, ...(await overtaken(retaken))];
  }

  /**
   * A late capture has taken units again. Where somebody decided to give its money back before it
   * could, that stands: so whichever of the two came second sees the other.
   */
  async function overtaken(retaken: Begun[]): Promise<Begun[]> {
    const found = await payments.find(retaken.map((one) => one.payment.reference));
    const asked = new Set(found.flatMap((p) => (p.refundAskedAt === null ? [] : [p.reference])));
    return retaken.filter((one) => asked.has(one.payment.reference));
  }

  async function giveBack(cases: Begun[]): Promise<void> {
    const done = await refunds.giveBack(cases.map((one) => one.payment));
    for (const one of cases) {
      one.settled = done.has(one.id)
        ? { kind: one.settled?.kind === 'paid' ? 'refunded' : 'released' }
        : { kind: 'later', why: 'the refund is not finished' };
    }
  }
}

function newCase(id: string): Case {
  const place = parseOrderId(id);
  if (!place) throw new Error(`bug: ${id} is not an order id`);
  return { id, place };
}

async function eachLane<T extends Case>(
  cases: T[],
  visit: (ref: LaneRef, group: T[]) => Promise<void>,
): Promise<void> {
  const groups = byLane(cases.map((one) => ({ ...one.place, one })));
  const visits = groups.map(({ ref, places }) => {
    return visit(
      ref,
      places.map((place) => place.one),
    );
  });
  await Promise.all(visits);
}

const digestOf = (one: Case) => one.place.digest;

const isOpen = ({ payment }: Begun) => payment.state === 'started' || payment.state === 'unknown';

function toCharge({ seen, payment, fresh = false }: Begun) {
  return { ...seen, payment, fresh };
}

function confirmed(answer: Confirmed): Settled {
  switch (answer.status) {
    case 'paid':
    case 'retaken':
      return { kind: 'paid' };
    case 'already':
      return { kind: answer.order.state === 'refunded' ? 'refunded' : 'paid' };
    case 'gone':
      return { kind: 'released' };
    case 'unknown':
      return { kind: 'lost' };
  }
}

function released(answer: Released): Settled {
  switch (answer.status) {
    case 'released':
    case 'already':
      return { kind: 'released' };
    case 'refused':
      return { kind: 'later', why: 'a declined order is paid in its lane' };
    case 'unknown':
      return { kind: 'lost' };
  }
}

/** A payment that was closed had run out of time; any other tells its own reason. */
function reasonOf({ payment, seen }: Begun): ReleaseReason {
  if (!seen.mayCharge) return 'expired';
  return payment.reason === 'insufficient_funds' ? 'insufficient_funds' : 'declined';
}
