import { Stripe } from 'stripe';
import type { Clock } from '../../domain/clock.ts';
import { type Fields, fieldsOf, isFields, textOf } from '../json.ts';
import type { Notification, PaymentAlarm, RawNotification } from '../provider.ts';
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
  /** The reference in the metadata of a payment intent; undefined when it has none of ours. */
  referenceOf(intent: string): Promise<string | undefined>;
  clock: Clock;
}) {
  const { secretKey, webhookSecret, referenceOf, clock } = options;
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
      if (isForged) return { kind: 'refused', reason: 'signature' };
      // The signature is right. The library also throws for an event of API v2.
      event = parseJson(body);
    }
    if (Math.abs(clock.now() - signedAt) > toleranceMs) return { kind: 'refused', reason: 'stale' };
    // An event of API v2 has no object in it. No payment of ours is told about in this form.
    if (isThin(event)) return { kind: 'ignored', about: event.type };
    if (!isEnvelope(event)) return { kind: 'refused', reason: 'malformed' };
    // Events of connected accounts name the account, events of the merchant's own name none.
    const isOthers = event.account !== undefined || event.livemode !== (isLive ?? event.livemode);
    if (isOthers) return { kind: 'refused', reason: 'other_merchant' };
    const alarm = alarms[event.type.replace(/\.\w+$/, '')];
    return alarm ? await alarmOf(event, alarm, signedAt) : contentOf(event, signedAt);
  };

  /** A dispute or a warning names the payment intent, whose metadata has our reference. */
  async function alarmOf(
    { id, type, data: { object } }: Envelope,
    alarm: PaymentAlarm,
    sentAt: number,
  ): Promise<Notification> {
    const intent = object['payment_intent'];
    const reference = typeof intent === 'string' ? await referenceOf(intent) : undefined;
    if (!isPaymentReference(reference)) return { kind: 'ignored', about: type };
    return {
      kind: 'verified',
      id,
      reference,
      sentAt,
      about: type,
      alarm,
      detail: detailOf(object),
    };
  }
}

/** Events that an operator has to act on, by their type without its last part. */
const alarms: Record<string, PaymentAlarm | undefined> = {
  'charge.dispute': 'dispute',
  'radar.early_fraud_warning': 'fraud_warning',
};

/** What an operator reads of a dispute or a warning first. */
function detailOf(object: Fields): string {
  const parts = ['id', 'status', 'reason', 'fraud_type', 'amount', 'currency'].flatMap((name) => {
    const value = object[name];
    return typeof value === 'string' || typeof value === 'number' ? [`${name} ${value}`] : [];
  });
  return parts.join(', ').slice(0, 200);
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

/** The types of events that are read. Disputes and warnings have no reference of ours: see alarmOf. */
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

function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    return undefined;
  }
}

function isThin(event: unknown): event is { type: string } {
  return (
    isFields(event) && event['object'] === 'v2.core.event' && typeof event['type'] === 'string'
  );
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
