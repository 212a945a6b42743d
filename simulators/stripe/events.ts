import { createHmac } from 'node:crypto';
import type { Stripe } from 'stripe';
import type { BookEvent, Forgery } from '../protocol.ts';
import { type StripeAccount, seconds } from './account.ts';
import { chargeObject, refundObject, sessionObject } from './objects.ts';

const apiVersion = '2026-10-28.endive';
const paddingBytes = 900_000;
const staleSeconds = 3600;

/** A declined card leaves the session open; only a payment that fails later ends it unpaid. */
const types = {
  captured: 'checkout.session.completed',
  declined: 'checkout.session.async_payment_failed',
  closed: 'checkout.session.expired',
  refunded: 'charge.refunded',
  refund_changed: 'refund.updated',
} as const satisfies Record<BookEvent['kind'], Stripe.Event.Type>;

/** The event as Stripe sends it; undefined when it belongs to no session. */
export function eventMessage(
  event: BookEvent,
  { account, secret, now }: { account: StripeAccount; secret: string; now: number },
  forge?: Forgery,
): { headers: Record<string, string>; body: Buffer } | undefined {
  const object = objectOf(event, account);
  if (!object) return undefined;
  const told = falsified(envelope(event, object), forge);
  const signed = JSON.stringify(told);
  const sent = forge === 'reserialised' ? JSON.stringify(told, null, 2) : signed;
  const at = seconds(now) - (forge === 'stale' ? staleSeconds : 0);
  const key = forge === 'signature' ? `${secret} of somebody else` : secret;
  return {
    headers: {
      'content-type': 'application/json; charset=utf-8',
      'user-agent': 'Stripe/1.0 (+https://stripe.com/docs/webhooks)',
      'stripe-signature': `t=${at},v1=${signatureOf(`${at}.${signed}`, key)}`,
    },
    body: Buffer.from(sent),
  };
}

/** https://docs.stripe.com/webhooks/signature, "Verify manually". */
export function signatureOf(text: string, secret: string): string {
  return createHmac('sha256', secret).update(text).digest('hex');
}

function objectOf(
  { kind, charge, refund }: BookEvent,
  account: StripeAccount,
): EventObject | undefined {
  const record = account.sessionOf(charge.reference);
  if (!record) return undefined;
  if (kind === 'refund_changed') {
    const changed = account.refundsOf(record).find((one) => one.reference === refund?.reference);
    return changed && refundObject(changed);
  }
  if (kind === 'refunded') return chargeObject(record, charge);
  const status = kind === 'closed' ? 'expired' : 'complete';
  return sessionObject(record, charge, { status, page: '' });
}

type EventObject = Stripe.Checkout.Session | Stripe.Charge | Stripe.Refund;

type Envelope = Omit<Stripe.EventBase, 'data'> & { data: { object: Record<string, unknown> } };

function envelope(event: BookEvent, object: EventObject): Envelope {
  return {
    id: event.id,
    object: 'event',
    api_version: apiVersion,
    created: seconds(event.at),
    data: { object: { ...object } },
    livemode: false,
    pending_webhooks: 1,
    request: { id: null, idempotency_key: null },
    type: event.refund?.failed ? 'refund.failed' : types[event.kind],
  };
}

const strangersReference = `fd${'0123456789'.repeat(3)}`;

/** Changes the content of an event, for a forgery under a valid signature. */
function falsified(told: Envelope, forge: Forgery | undefined): Envelope {
  const { object } = told.data;
  const sum = 'amount_total' in object ? 'amount_total' : 'amount';
  const changed = (change: Record<string, unknown>) => ({
    ...told,
    data: { object: { ...object, ...change } },
  });
  switch (forge) {
    case 'other_merchant':
      return { ...told, account: 'acct_1SomebodyElses' };
    case 'other_amount':
      return changed({ [sum]: Number(object[sum]) + 1 });
    case 'other_currency':
      return changed({ currency: object['currency'] === 'eur' ? 'usd' : 'eur' });
    case 'unknown_order':
      return changed(
        sum === 'amount'
          ? { metadata: { reference: strangersReference } }
          : { client_reference_id: strangersReference },
      );
    case 'oversized':
      return changed({ description: 'x'.repeat(paddingBytes) });
    default:
      return told;
  }
}
