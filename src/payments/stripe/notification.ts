import { Stripe } from 'stripe';
import type { Clock } from '../../domain/clock.ts';
import { type Fields, fieldsOf, isFields, textOf } from '../json.ts';
import type { Notification, RawNotification } from '../provider.ts';
import { fromStripe } from './money.ts';
import { isPaymentReference, metadataKey, paymentOf } from './references.ts';

const toleranceMs = 300_000;

/** The fields of an event that are read. */
type Envelope = {
  id: string;
  type: string;
  livemode: boolean;
  account?: unknown;
  data: { object: Fields };
};

/** What is read from the object that an event is about. */
type About = { reference: string | undefined; amount?: unknown; currency: unknown };

/**
 * Reads the events sent to one webhook endpoint. They arrive more than once, in any order, for up to
 * three days, and only say which payment to ask about.
 */
export function openNotifications(options: {
  secretKey: string;
  webhookSecret: string;
  clock: Clock;
}) {
  const { secretKey, webhookSecret, clock } = options;
  const isLive = modeOf(secretKey);

  return async ({ headers, body }: RawNotification): Promise<Notification> => {
    const signature = headers['stripe-signature'] ?? '';
    const signedAt = signedAtOf(signature);
    if (signedAt === undefined) return { kind: 'refused', reason: 'signature' };
    let event: unknown;
    try {
      // The library's tolerance covers the past only: 0 turns it off, and the time is checked below.
      event = Stripe.webhooks.constructEvent(body, signature, webhookSecret, 0);
    } catch (error) {
      const isForged = error instanceof Stripe.errors.StripeSignatureVerificationError;
      return { kind: 'refused', reason: isForged ? 'signature' : 'malformed' };
    }
    if (Math.abs(clock.now() - signedAt) > toleranceMs) return { kind: 'refused', reason: 'stale' };
    if (!isEnvelope(event)) return { kind: 'refused', reason: 'malformed' };
    // Events of connected accounts name the account, events of the merchant's own name none.
    const isOthers = event.account !== undefined || event.livemode !== (isLive ?? event.livemode);
    if (isOthers) return { kind: 'refused', reason: 'other_merchant' };
    return contentOf(event, signedAt);
  };
}

function contentOf({ id, type, data }: Envelope, sentAt: number): Notification {
  const { reference, amount, currency } = readers[type]?.(data.object) ?? noReference;
  if (reference === undefined) return { kind: 'ignored', about: type };
  return {
    kind: 'verified',
    id,
    reference,
    sentAt,
    ...(typeof amount === 'number' ? { amount } : {}),
    currency: typeof currency === 'string' ? fromStripe(currency) : undefined,
    about: type,
  };
}

type Reader = (object: Fields) => About;

const noReference: About = { reference: undefined, currency: undefined };

const session: Reader = ({ client_reference_id: own, amount_total, currency }) => {
  const reference = isPaymentReference(own) ? own : undefined;
  return { reference, amount: amount_total ?? undefined, currency };
};

const charge: Reader = (object) => {
  const own = ownReferenceOf(object);
  const reference = isPaymentReference(own) ? own : undefined;
  return { reference, amount: object['amount'], currency: object['currency'] };
};

/** The amount of a refund is not the payment's, so none is read. */
const refund: Reader = (object) => {
  return { reference: paymentOf(ownReferenceOf(object)), currency: object['currency'] };
};

/** The types of events that are read. A dispute has no reference of ours. */
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

function ownReferenceOf(object: Fields): string | undefined {
  return textOf(fieldsOf(object, 'metadata'), metadataKey);
}

/** When an event was signed, ms since the epoch; undefined for a header with no time or several. */
function signedAtOf(signature: string): number | undefined {
  const times = signature.split(',').filter((part) => part.startsWith('t='));
  const seconds = /^t=(\d{1,12})$/.exec(times[0] ?? '')?.[1];
  return times.length === 1 && seconds !== undefined ? Number(seconds) * 1000 : undefined;
}

/** Whether a key is of live mode (true) or of test mode; undefined when it does not say. */
function modeOf(secretKey: string): boolean | undefined {
  const mode = /^[a-z]+_(?:org_)?(live|test)_/.exec(secretKey)?.[1];
  return mode === undefined ? undefined : mode === 'live';
}

function isEnvelope(event: unknown): event is Envelope {
  return (
    isFields(event) &&
    typeof event['id'] === 'string' &&
    typeof event['type'] === 'string' &&
    typeof event['livemode'] === 'boolean' &&
    isFields(event['data']) &&
    isFields(event['data']['object'])
  );
}
