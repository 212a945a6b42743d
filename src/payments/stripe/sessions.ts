import type { Stripe } from 'stripe';
import type { Clock } from '../../domain/clock.ts';
import type { Charge, Outcome, PaymentProvider, PaymentRef } from '../provider.ts';
import { sideBySide } from './client.ts';
import { fromStripe, takesCurrency } from './currencies.ts';
import { type FailureOf, isReplay } from './failures.ts';
import { createWithinMs, sealRequest, sessionRequest } from './session-requests.ts';
import { findSessions } from './session-search.ts';

type Session = Stripe.Checkout.Session;

/** With these a session tells what became of its money. */
const withMoney = { expand: ['payment_intent.latest_charge'] };

export type Sessions = Pick<PaymentProvider, 'start' | 'lookUp' | 'close'> & {
  /** The payment intent under which the money of a payment was taken. */
  intentOf(payment: PaymentRef): Promise<{ intent: string } | 'none' | 'unknown'>;
};

/** Payments as Checkout Sessions: one for each reference, which is its idempotency key. */
export function openSessions(options: {
  client: Stripe;
  failureOf: FailureOf;
  returnUrl: string;
  clock: Clock;
}): Sessions {
  const { client, failureOf, returnUrl, clock } = options;
  const { sessions } = client.checkout;

  async function start(charges: readonly Charge[]): Promise<Outcome[]> {
    return await sideBySide(charges, startOne);
  }

  async function startOne(charge: Charge): Promise<Outcome> {
    const { reference, currency, startedAt, expiresAt } = charge;
    if (!takesCurrency(currency)) return { reference, kind: 'declined', reason: 'declined' };
    const now = clock.now();
    if (now >= expiresAt) return await settle(charge);
    // Too late to begin: Stripe could refuse the session by now, or have forgotten its key.
    if (now >= startedAt + createWithinMs) {
      const known = await find(charge);
      return known.kind === 'none' ? await seal(charge) : known;
    }
    try {
      const session = await sessions.create(sessionRequest(charge, returnUrl), {
        idempotencyKey: reference,
      });
      if (isReplay(session.lastResponse.headers)) return await read(charge, session.id);
      return outcomeOf(reference, session);
    } catch (error) {
      return await explain(charge, error);
    }
  }

  /** What a start came to that was answered with an error. */
  async function explain(charge: Charge, error: unknown): Promise<Outcome> {
    const { reference } = charge;
    switch (failureOf(error)) {
      case 'refused':
        return { reference, kind: 'declined', reason: 'declined' };
      case 'kept_failure': {
        // Stripe repeats the failure as long as it knows the key. The session may exist all the
        // same; if not, nobody was ever told an address to pay at, and nobody will be.
        const outcome = await find(charge);
        return outcome.kind === 'none'
          ? { reference, kind: 'declined', reason: 'declined' }
          : outcome;
      }
      case 'key_reused': {
        const outcome = await find(charge);
        return outcome.kind === 'none' ? { reference, kind: 'unknown' } : outcome;
      }
      default:
        return { reference, kind: 'unknown' };
    }
  }

  async function lookUp(payments: readonly PaymentRef[]): Promise<Outcome[]> {
    const found = await findSessions(
      options,
      payments.filter(({ providerReference }) => providerReference === undefined),
    );
    return await sideBySide(payments, async (payment) => {
      const { reference, providerReference } = payment;
      const at = providerReference ? { id: providerReference } : found.get(reference);
      if (at === undefined || at === 'unknown') return { reference, kind: 'unknown' };
      return at === 'absent' ? { reference, kind: 'none' } : await read(payment, at.id);
    });
  }

  async function find(payment: PaymentRef): Promise<Outcome> {
    const [outcome] = await lookUp([payment]);
    return outcome ?? { reference: payment.reference, kind: 'unknown' };
  }

  /** An id that we were told and Stripe does not know means another account: not `none`. */
  async function read({ reference }: PaymentRef, id: string): Promise<Outcome> {
    try {
      return outcomeOf(reference, await sessions.retrieve(id, withMoney));
    } catch (error) {
      failureOf(error);
      return { reference, kind: 'unknown' };
    }
  }

  async function close(payments: readonly PaymentRef[]): Promise<Outcome[]> {
    return await sideBySide(payments, settle);
  }

  /** Ends an open session, and sees to it that none is opened where there is none. */
  async function settle(payment: PaymentRef): Promise<Outcome> {
    const known = await find(payment);
    if (known.kind === 'none') return await seal(payment);
    const isOpen = known.kind === 'pending' && known.action !== undefined;
    if (!isOpen || !known.providerReference) return known;
    return await expire(payment, known.providerReference);
  }

  async function expire(payment: PaymentRef, id: string): Promise<Outcome> {
    try {
      return outcomeOf(payment.reference, await sessions.expire(id, withMoney));
    } catch (error) {
      failureOf(error);
      // Paid or expired meanwhile, or no answer: the session itself knows.
      const outcome = await read(payment, id);
      const isStillOpen = outcome.kind === 'pending' && outcome.action !== undefined;
      return isStillOpen ? { reference: payment.reference, kind: 'unknown' } : outcome;
    }
  }

  /** A request that is still under way makes this fail, and the outcome unknown for now. */
  async function seal(payment: PaymentRef): Promise<Outcome> {
    const { reference } = payment;
    try {
      const { id } = await sessions.create(sealRequest(payment, returnUrl), {
        idempotencyKey: reference,
      });
      await sessions.expire(id).catch(failureOf);
      return { reference, kind: 'declined', reason: 'closed' };
    } catch (error) {
      // Kept: a request under this key failed or ran after all. What it left can be listed.
      const failure = failureOf(error);
      if (failure !== 'key_reused' && failure !== 'kept_failure')
        return { reference, kind: 'unknown' };
      const outcome = await find(payment);
      if (outcome.kind === 'none') return { reference, kind: 'declined', reason: 'closed' };
      return outcome.kind === 'pending' ? { reference, kind: 'unknown' } : outcome;
    }
  }

  async function intentOf(payment: PaymentRef): Promise<{ intent: string } | 'none' | 'unknown'> {
    const { reference, providerReference } = payment;
    const found = providerReference
      ? { id: providerReference }
      : (await findSessions(options, [payment])).get(reference);
    if (found === 'absent') return 'none';
    if (found === undefined || found === 'unknown') return 'unknown';
    try {
      const { payment_intent } = await sessions.retrieve(found.id);
      return payment_intent === null ? 'none' : { intent: idOf(payment_intent) };
    } catch (error) {
      failureOf(error);
      return 'unknown';
    }
  }

  return { start, lookUp, close, intentOf };
}

/** What a session says, whoever it is asked by. */
function outcomeOf(reference: string, session: Session): Outcome {
  const told = { reference, providerReference: session.id };
  const closed = { ...told, kind: 'declined', reason: 'closed' } as const;
  if (session.mode !== 'payment') return closed;
  const isFree = session.status === 'complete' && session.payment_status === 'no_payment_required';
  if (session.payment_status === 'paid' || isFree) return { ...told, ...captureOf(session) };
  if (session.status === 'expired') return closed;
  if (session.status === 'open') {
    return session.url === null
      ? { ...told, kind: 'unknown' }
      : { ...told, kind: 'pending', action: { kind: 'redirect', url: session.url } };
  }
  // The buyer is done, the money is on its way, or it failed to arrive.
  const status = typeof session.payment_intent === 'object' ? session.payment_intent?.status : '';
  const hasFailed = status === 'requires_payment_method' || status === 'canceled';
  return hasFailed
    ? { ...told, kind: 'declined', reason: 'declined' }
    : { ...told, kind: 'pending' };
}

function captureOf({ amount_total, currency, payment_intent }: Session) {
  const charge = typeof payment_intent === 'object' ? payment_intent?.latest_charge : undefined;
  const refunded = typeof charge === 'object' ? charge?.amount_refunded : undefined;
  return {
    kind: 'captured' as const,
    amount: amount_total ?? 0,
    ...(currency === null ? {} : { currency: fromStripe(currency) }),
    ...(refunded === undefined ? {} : { refunded }),
  };
}

function idOf(expandable: string | { id: string }): string {
  return typeof expandable === 'string' ? expandable : expandable.id;
}
