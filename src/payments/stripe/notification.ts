import { Stripe } from 'stripe';
import type { Clock } from '../../domain/clock.ts';
import type { Notification, NotificationAnswer, RawNotification } from '../provider.ts';
import { fromStripe } from './currencies.ts';
import { isPaymentReference, metadataKey, paymentOf } from './references.ts';

const toleranceMs = 300_000;

/** As much of an event as is read; the signature vouches for the rest. */
type Envelope = {
  id: string;
  type: string;
  livemode: boolean;
  account?: unknown;
  data: { object: Record<string, unknown> };
};

/** What is read of the object that an event is about. */
type About = { reference: string | undefined; amount?: unknown; currency: unknown };

/**
 * Reads the messages of one webhook endpoint. They only say what to ask about: they come more than
 * once, in any order, for up to three days.
 */
export function openEvents(options: { secretKey: string; webhookSecret: string; clock: Clock }) {
  const { secretKey, webhookSecret, clock } = options;
  const isLive = modeOf(secretKey);

  return async ({ headers, body }: RawNotification): Promise<Notification> => {
    const signature = headers['stripe-signature'] ?? '';
    const signedAt = signedAtOf(signature);
    if (signedAt === undefined) return { kind: 'refused', reason: 'signature' };
    let event: unknown;
    try {
      // The library's own tolerance looks at the past alone: 0 leaves the time to us.
      event = Stripe.webhooks.constructEvent(body, signature, webhookSecret, 0);
    } catch (error) {
      const isForged = error instanceof Stripe.errors.StripeSignatureVerificationError;
      return { kind: 'refused', reason: isForged ? 'signature' : 'malformed' };
    }
    if (Math.abs(clock.now() - signedAt) > toleranceMs) return { kind: 'refused', reason: 'stale' };
    if (!isEnvelope(event)) return { kind: 'refused', reason: 'malformed' };
    // An event that names an account is a connected account's; the engine's own names none.
    const isOthers = event.account !== undefined || event.livemode !== (isLive ?? event.livemode);
    if (isOthers) return { kind: 'refused', reason: 'other_merchant' };
    return tell(event, signedAt);
  };
}

export function answerEvent(verdict: 'taken' | 'refused' | 'unavailable'): NotificationAnswer {
  const contentType = 'application/json';
  if (verdict === 'taken') return { status: 200, contentType, body: '{"received":true}' };
  return { status: verdict === 'refused' ? 400 : 503, contentType, body: '{"received":false}' };
}

function tell({ id, type, data }: Envelope, sentAt: number): Notification {
  const { reference, amount, currency } = readers[type]?.(data.object) ?? noReference;
  if (reference === undefined) return { kind: 'ignored', about: type };
  return {
    kind: 'told',
    id,
    reference,
    sentAt,
    ...(typeof amount === 'number' ? { amount } : {}),
    ...(typeof currency === 'string' ? { currency: fromStripe(currency) } : {}),
    about: type,
  };
}

type Reader = (object: Record<string, unknown>) => About;

const noReference: About = { reference: undefined, currency: undefined };

const session: Reader = ({ client_reference_id: own, amount_total, currency }) => {
  const reference = isPaymentReference(own) ? own : undefined;
  return { reference, amount: amount_total ?? undefined, currency };
};

const charge: Reader = ({ metadata, amount, currency }) => {
  const own = ownOf(metadata);
  return { reference: isPaymentReference(own) ? own : undefined, amount, currency };
};

/** A refund names its own amount, which is not the payment's. */
const refund: Reader = ({ metadata, currency }) => {
  return { reference: paymentOf(ownOf(metadata)), currency };
};

/** The types of events that are followed. A dispute carries no reference of ours. */
const readers: Record<string, Reader | undefined> = {
  'checkout.session.completed': session,
  'checkout.session.async_payment_succeeded': session,
  'checkout.session.async_payment_failed': session,
  'checkout.session.expired': session,
  'charge.refunded': charge,
  'refund.created': refund,
  'refund.updated': refund,
  'refund.failed': refund,
};

export const followedEvents: readonly string[] = Object.keys(readers);

function ownOf(metadata: unknown): unknown {
  return isRecord(metadata) ? metadata[metadataKey] : undefined;
}

/** The one time that a signature is for, ms; a header with several is none of Stripe's. */
function signedAtOf(signature: string): number | undefined {
  const times = signature.split(',').filter((part) => part.startsWith('t='));
  const [time] = times;
  return times.length === 1 && /^t=\d{1,12}$/.test(time as string)
    ? Number((time as string).slice(2)) * 1000
    : undefined;
}

/** Keys say which of an account's two worlds they are of; undefined when one does not. */
function modeOf(secretKey: string): boolean | undefined {
  const mode = /^[a-z]+_(?:org_)?(live|test)_/.exec(secretKey)?.[1];
  return mode === undefined ? undefined : mode === 'live';
}

function isEnvelope(event: unknown): event is Envelope {
  return (
    isRecord(event) &&
    typeof event['id'] === 'string' &&
    typeof event['type'] === 'string' &&
    typeof event['livemode'] === 'boolean' &&
    isRecord(event['data']) &&
    isRecord(event['data']['object'])
  );
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
