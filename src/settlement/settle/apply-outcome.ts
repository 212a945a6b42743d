import type { ReleaseReason } from '../../domain/order.ts';
import type { Lanes } from '../../inventory/lanes.ts';
import type { Confirmed, Released } from '../../inventory/replies.ts';
import type { Payments } from '../../ledger/payments/payments.ts';
import type { Payment } from '../../ledger/payments/row.ts';
import type { Log } from '../../log.ts';
import type { Providers } from '../../payments/provider.ts';
import type { PaymentCount } from '../metrics/payment-metrics.ts';
import {
  digestOf,
  eachLane,
  inOrderOfCapture,
  isKept,
  isOpen,
  type SeenCase,
  type Settled,
} from './batch.ts';
import type { Refunds } from './refunds.ts';

/** A captured payment of a case that goes back; `ends`: with it goes all that the order had. */
export type Back = { one: SeenCase; payment: Payment; ends: boolean };

/** A case whose order is to be sold for this payment. */
type Owned = { one: SeenCase; payment: Payment };

/** Moves units to where the money says, and money back that found none. */
export function openMoving(options: {
  lanes: Lanes;
  payments: Payments;
  providers: Providers;
  refunds: Refunds;
  log: Log;
  onPayment?(provider: string, outcome: PaymentCount): void;
}) {
  const { lanes, payments, providers, refunds, log, onPayment } = options;

  /** Gives the payments whose money has to go back. */
  async function move(cases: SeenCase[]): Promise<Back[]> {
    const back: Back[] = [];
    const confirm: Owned[] = [];
    const release: SeenCase[] = [];
    for (const one of cases) {
      const { owner, others } = ownership(one);
      back.push(...others.map((payment) => ({ one, payment, ends: !owner })));
      const { state } = one.seen.order;
      if (state === 'paid' || state === 'refunded') one.settled = { kind: state };
      else if (owner) confirm.push({ one, payment: owner });
      else if (others.length === 0) {
        one.settled = without(one);
        if (isToRelease(one)) release.push(one);
      }
    }
    const retaken = await confirmAll(confirm, back);
    await eachLane(release, async (ref, group) => {
      const asked = group.map((one) => ({ digest: digestOf(one), reason: reasonOf(one) }));
      const answers = await lanes.release(ref, asked);
      for (const [index, one] of group.entries()) {
        one.settled = released(answers[index] as Released);
      }
    });
    return [...back, ...(await overtaken(retaken))];
  }

  /**
   * Of what an order has captured it owns the first that is neither going back nor of a wrong amount;
   * a second one is a payment too many, whoever was slow. Money of a refunded order has no owner.
   */
  function ownership({ attempts, seen: { order } }: SeenCase) {
    const going = attempts.filter(
      (payment) => payment.refundAskedAt !== null && payment.state === 'captured',
    );
    const kept = inOrderOfCapture(attempts.filter(isKept));
    const fitting = kept.filter((payment) => payment.amountCaptured === payment.amount);
    for (const payment of kept) {
      if (fitting.includes(payment)) continue;
      const { reference, amount, amountCaptured } = payment;
      log.error({ reference, amount, amountCaptured }, 'another amount was captured: it goes back');
    }
    const owner = order.state === 'refunded' ? undefined : fitting[0];
    return { owner, others: [...going, ...kept.filter((payment) => payment !== owner)] };
  }

  /** Gives those that took their units again. */
  async function confirmAll(wanted: Owned[], back: Back[]): Promise<Owned[]> {
    const retaken: Owned[] = [];
    const byCase = new Map(wanted.map((owned) => [owned.one, owned]));
    await eachLane([...byCase.keys()], async (ref, group) => {
      const answers = await lanes.confirm(ref, group.map(digestOf));
      for (const [index, one] of group.entries()) {
        const answer = answers[index] as Confirmed;
        const owned = byCase.get(one) as Owned;
        one.settled = confirmed(answer);
        const { provider } = owned.payment;
        if (answer.status === 'gone') {
          back.push({ ...owned, ends: true });
          onPayment?.(provider, 'late_refunded');
        } else if (answer.status === 'retaken') {
          retaken.push(owned);
          onPayment?.(provider, 'late_retaken');
        }
      }
    });
    return retaken;
  }

  /**
   * A late capture has taken units again. Where somebody decided to give its money back before it
   * could, that stands: so whichever of the two came second sees the other.
   */
  async function overtaken(retaken: Owned[]): Promise<Back[]> {
    const found = await payments.find(retaken.map(({ payment }) => payment.reference));
    const asked = new Set(found.flatMap((p) => (p.refundAskedAt === null ? [] : [p.reference])));
    const taken = retaken.filter(({ payment }) => asked.has(payment.reference));
    return taken.map((owned) => ({ ...owned, ends: true }));
  }

  /** What an order comes to that has no money: whose turn is it? */
  function without(one: SeenCase): Settled {
    const { attempts, seen } = one;
    const open = attempts.find(isOpen);
    if (seen.order.state === 'released') {
      return open ? openStill(open) : { kind: 'released' };
    }
    if (open) return openStill(open);
    return seen.isHeld ? { kind: 'waiting' } : { kind: 'lapsed' };
  }

  /** What the engine began is tried again by its job; what a buyer began is looked up on its own. */
  function openStill({ provider, state }: Payment): Settled {
    if (providers.get(provider)?.startedBy === 'buyer') return { kind: 'waiting' };
    return { kind: 'later', why: `the payment is ${state}` };
  }

  async function giveBack(wanted: Back[]): Promise<void> {
    const done = await refunds.giveBack(wanted.map(({ payment }) => payment));
    for (const { one, payment, ends } of wanted) {
      if (!done.has(payment.reference)) {
        // It is carried on with by itself, in its own time: the sweeper sees to it.
        one.settled = { kind: 'waiting' };
      } else if (ends && one.settled?.kind !== 'waiting') {
        const wasPaid = one.settled?.kind === 'paid' || one.settled?.kind === 'refunded';
        one.settled = { kind: wasPaid ? 'refunded' : 'released' };
      }
    }
  }

  /** Money that has found its place is asked about no more. */
  async function endPolling(cases: SeenCase[]): Promise<void> {
    const ended = cases.filter(({ settled }) => settled && isOver(settled));
    const placed = ended.flatMap(({ attempts }) => attempts.filter(isPlaced));
    await payments.endPolling(
      placed.filter(({ nextPollAt }) => nextPollAt !== null).map(({ reference }) => reference),
    );
  }

  /** A closed payment may still be captured by a provider elsewhere; our own book is certain. */
  function isPlaced(payment: Payment): boolean {
    if (isOpen(payment)) return false;
    return payment.state !== 'declined' || providers.get(payment.provider)?.startedBy === 'engine';
  }

  return { move, giveBack, endPolling };
}

const isOver = ({ kind }: Settled) => kind === 'paid' || kind === 'refunded' || kind === 'released';

/**
 * Whether an order without money is to be released now: its payment was declined, or its hold is over.
 * A payment that was only closed leaves the buyer the rest of the hold, to pay in another way.
 */
function isToRelease({ attempts, seen }: SeenCase): boolean {
  const last = attempts.at(-1);
  if (seen.order.state !== 'reserved' || !last || attempts.some(isOpen)) return false;
  return !seen.isHeld || last.reason !== 'closed';
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
function reasonOf({ attempts, seen }: SeenCase): ReleaseReason {
  if (!seen.isHeld) return 'expired';
  return attempts.at(-1)?.reason === 'insufficient_funds' ? 'insufficient_funds' : 'declined';
}
