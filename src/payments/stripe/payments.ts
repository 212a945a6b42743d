import type { Stripe } from 'stripe';
import type { Clock } from '../../domain/clock.ts';
import type { PaymentReference } from '../../domain/ids.ts';
import { answerEach } from '../concurrency.ts';
import {
  type Charge,
  type Outcome,
  type PaymentProvider,
  type PaymentRef,
  unknownOutcome,
} from '../provider.ts';
import { callsMax } from './client.ts';
import { type FailureOf, isReplay } from './failures.ts';
import { fromStripe, takes } from './money.ts';
import { metadataKey } from './references.ts';
import { blockingRequest, createWithinMs, sessionRequest } from './session-requests.ts';
import { findSessions } from './session-search.ts';

type Session = Stripe.Checkout.Session;

/** Expands what a session needs to say what was captured and refunded. */
const withMoney = { expand: ['payment_intent.latest_charge'] };

export type StripePayments = Pick<PaymentProvider, 'start' | 'lookUp' | 'close'> & {
  /** The payment intent that captured the money of a payment. */
  intentOf(payment: PaymentRef): Promise<{ intent: string } | 'none' | 'unknown'>;
  /**
   * Our reference in the metadata of a payment intent, undefined when it has none.
   * @throws what Stripe's library throws, except that there is no such intent
   */
  referenceOf(intent: string): Promise<string | undefined>;
};

/** Payments as Checkout Sessions, one for each reference, which is its idempotency key. */
export function openPayments(options: {
  client: Stripe;
  failureOf: FailureOf;
  returnUrl: string;
  clock: Clock;
}): StripePayments {
  const { client, failureOf, returnUrl, clock } = options;
  const { sessions } = client.checkout;

  async function start(charges: readonly Charge[]): Promise<Outcome[]> {
    return await each(charges, startOne);
  }

  async function startOne(charge: Charge): Promise<Outcome> {
    const { reference, currency, startedAt, expiresAt } = charge;
    if (!takes(currency)) return { reference, kind: 'declined', reason: 'declined' };
    const now = clock.now();
    if (now >= expiresAt) return await closeOne(charge);
    // Too late to create a session: Stripe could refuse it by now, or have forgotten its key.
    if (now >= startedAt + createWithinMs) {
      const known = await find(charge);
      return known.kind === 'none' ? await block(charge) : known;
    }
    try {
      const session = await sessions.create(sessionRequest(charge, returnUrl), {
        idempotencyKey: reference,
      });
      if (isReplay(session.lastResponse.headers)) return await read(charge, session.id);
      return outcomeOf(reference, session);
    } catch (error) {
      return await outcomeOfFailure(charge, error);
    }
  }

  /** The outcome of a start that Stripe answered with an error. */
  async function outcomeOfFailure(charge: Charge, error: unknown): Promise<Outcome> {
    const { reference } = charge;
    switch (failureOf(error)) {
      case 'refused':
        return { reference, kind: 'declined', reason: 'declined' };
      case 'kept_failure': {
        // Stripe repeats the failure as long as it knows the key. The session may exist all the same;
        // if not, no buyer has an address to pay at, and none will get one.
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
    return await each(payments, async (payment) => {
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

  /** `unknown` for an id that Stripe does not know: the account was changed, and `none` would be wrong. */
  async function read({ reference }: PaymentRef, id: string): Promise<Outcome> {
    try {
      return outcomeOf(reference, await sessions.retrieve(id, withMoney));
    } catch (error) {
      failureOf(error);
      return { reference, kind: 'unknown' };
    }
  }

  async function close(payments: readonly PaymentRef[]): Promise<Outcome[]> {
    return await each(payments, closeOne);
  }

  /** Expires an open session; where there is none, blocks the reference so that none is created later. */
  async function closeOne(payment: PaymentRef): Promise<Outcome> {
    const known = await find(payment);
    if (known.kind === 'none') return await block(payment);
    const isOpen = known.kind === 'pending' && known.action !== undefined;
    if (!isOpen || !known.providerReference) return known;
    return await expire(payment, known.providerReference);
  }

  async function expire(payment: PaymentRef, id: string): Promise<Outcome> {
    try {
      return outcomeOf(payment.reference, await sessions.expire(id, withMoney));
    } catch (error) {
      failureOf(error);
      // It was paid or has expired meanwhile, or there was no answer: the session itself says which.
      return unoffered(await read(payment, id));
    }
  }

  /** Uses up the idempotency key of a payment. Fails, as `unknown`, while a request under it is under way. */
  async function block(payment: PaymentRef): Promise<Outcome> {
    const { reference } = payment;
    try {
      const { id } = await sessions.create(blockingRequest(payment, returnUrl), {
        idempotencyKey: reference,
      });
      await sessions.expire(id).catch(failureOf);
      return { reference, kind: 'declined', reason: 'closed' };
    } catch (error) {
      const failure = failureOf(error);
      if (failure !== 'key_reused' && failure !== 'kept_failure') {
        return { reference, kind: 'unknown' };
      }
      // A request under this key ran or failed after all: the session it may have made can be listed.
      const outcome = await find(payment);
      if (outcome.kind === 'none') return { reference, kind: 'declined', reason: 'closed' };
      return unoffered(outcome);
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

  async function referenceOf(intent: string): Promise<string | undefined> {
    try {
      return (await client.paymentIntents.retrieve(intent)).metadata[metadataKey];
    } catch (error) {
      if (failureOf(error) === 'absent') return undefined;
      throw error;
    }
  }

  return { start, lookUp, close, intentOf, referenceOf };
}

function each<T extends PaymentRef>(items: readonly T[], answer: (item: T) => Promise<Outcome>) {
  return answerEach(items, callsMax, { answer, unknown: unknownOutcome });
}

function outcomeOf(reference: PaymentReference, session: Session): Outcome {
  const known = { reference, providerReference: session.id };
  const closed = { ...known, kind: 'declined', reason: 'closed' } as const;
  if (session.mode !== 'payment') return closed;
  const isFree = session.status === 'complete' && session.payment_status === 'no_payment_required';
  if (session.payment_status === 'paid' || isFree) return { ...known, ...captureOf(session) };
  if (session.status === 'expired') return closed;
  if (session.status === 'open') {
    return session.url === null
      ? { ...known, kind: 'unknown' }
      : { ...known, kind: 'pending', action: { kind: 'redirect', url: session.url } };
  }
  // The buyer has finished; the money is on its way or has failed to arrive.
  const status = typeof session.payment_intent === 'object' ? session.payment_intent?.status : '';
  const hasFailed = status === 'requires_payment_method' || status === 'canceled';
  return hasFailed
    ? { ...known, kind: 'declined', reason: 'declined' }
    : { ...known, kind: 'pending' };
}

/** The outcome of a payment that was to be closed: where it is still open, nobody is sent there to pay. */
function unoffered(outcome: Outcome): Outcome {
  return outcome.kind === 'pending' ? { ...outcome, action: undefined } : outcome;
}

function captureOf({ amount_total, currency, payment_intent }: Session) {
  const charge = typeof payment_intent === 'object' ? payment_intent?.latest_charge : undefined;
  const { amount_refunded: refunded, disputed } =
    typeof charge === 'object' && charge ? charge : {};
  return {
    kind: 'captured' as const,
    amount: amount_total ?? 0,
    currency: currency === null ? undefined : fromStripe(currency),
    refunded,
    isDisputed: disputed,
  };
}

function idOf(expandable: string | { id: string }): string {
  return typeof expandable === 'string' ? expandable : expandable.id;
}
