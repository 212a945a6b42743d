import { refundedOf } from '../book.ts';
import type { BookedCharge, BookedRefund, Simulator } from '../protocol.ts';
import { impossible, missing } from './refusals.ts';
import type { SessionRequest } from './session-request.ts';

/** A Checkout Session; its money is in the book. */
export type SessionRecord = SessionRequest & {
  id: string;
  /** Reference of its charge in the book; undefined for a session without a payment. */
  reference: string | undefined;
  created: number;
  intent: string;
  charge: string;
  /** For a session without a payment. */
  isExpired: boolean;
};

export type RefundRecord = BookedRefund & {
  session: SessionRecord;
  metadata: Record<string, string>;
};

export type StripeAccount = ReturnType<typeof openAccount>;

/** The sessions and refunds of one Stripe account, over the simulator's book. */
export function openAccount({ book, id, now, url, notifyUrl, remembered }: Simulator) {
  const sessions = remembered<SessionRecord>('sessions');
  const metadataOf = remembered<Record<string, string>>('refund metadata');
  /** The webhook endpoint: no session names it, as at Stripe. */
  let endpoint = notifyUrl;

  function open(request: SessionRequest): SessionRecord {
    const record: SessionRecord = {
      ...request,
      id: '',
      reference: undefined,
      created: seconds(now()),
      intent: id('pi_', 24),
      charge: id('ch_', 24),
      isExpired: false,
    };
    if (request.mode === 'payment') {
      record.reference = freeReference(request.clientReferenceId ?? record.intent);
      const { charge } = book.open({
        reference: record.reference,
        amount: request.amount,
        currency: (request.currency ?? '').toUpperCase(),
        expiresAt: request.expiresAt * 1000,
        notifyUrl: endpoint,
        extra: { page: '' },
      });
      record.id = charge.providerReference;
      charge.extra['page'] = pageOf(record);
    } else record.id = id('cs_test_', 24);
    sessions.set(record.id, record);
    return record;
  }

  /** Stripe allows two sessions with one reference: the second is a charge of its own. */
  function freeReference(wanted: string): string {
    let reference = wanted;
    for (let nth = 2; book.find(reference); nth += 1) reference = `${wanted}#${nth}`;
    return reference;
  }

  function pageOf({ id }: SessionRecord): string {
    return `${url()}/c/pay/${id}`;
  }

  function chargeOf({ reference }: SessionRecord): BookedCharge | undefined {
    return reference === undefined ? undefined : book.find(reference);
  }

  function session(sessionId: string): SessionRecord {
    const record = sessions.get(sessionId);
    if (!record) throw missing('checkout.session', sessionId, 'session');
    return record;
  }

  function statusOf(record: SessionRecord): 'open' | 'complete' | 'expired' {
    const state = chargeOf(record)?.state;
    if (state === undefined) {
      return record.isExpired || seconds(now()) >= record.expiresAt ? 'expired' : 'open';
    }
    if (state === 'open') return 'open';
    return state === 'closed' ? 'expired' : 'complete';
  }

  function expire(record: SessionRecord): void {
    const status = statusOf(record);
    if (status !== 'open') {
      throw impossible(
        `Only Checkout Sessions with a status in ["open"] can be expired. This Checkout Session has a status of \`${status}\`.`,
      );
    }
    if (record.reference === undefined) record.isExpired = true;
    else book.close(record.reference, 'closed');
  }

  /** Sessions that have a payment intent. */
  function paidBy(intent: string): SessionRecord {
    const found = [...sessions.values()].find((record) => record.intent === intent);
    const state = found && chargeOf(found)?.state;
    if (!found || state === undefined || state === 'open' || state === 'closed') {
      throw missing('payment_intent', intent, 'intent');
    }
    return found;
  }

  function refund(
    record: SessionRecord,
    wanted: { amount: number | undefined; metadata: Record<string, string> },
  ): RefundRecord {
    const charge = chargeOf(record);
    if (charge?.state !== 'captured') {
      throw impossible(
        `This PaymentIntent (${record.intent}) does not have a successful charge to refund.`,
      );
    }
    const left = charge.amount - refundedOf(charge);
    if (left === 0) {
      throw impossible(`Charge ${record.charge} has already been refunded.`, {
        code: 'charge_already_refunded',
      });
    }
    const amount = wanted.amount ?? left;
    const reference = freeRefund(charge, wanted.metadata['reference'] ?? `${record.reference}r`);
    const done = book.refund(charge.reference, { reference, amount });
    if (done.kind !== 'refunded') {
      throw impossible(
        `Refund amount (${amount}) is greater than unrefunded amount on charge (${left})`,
        { param: 'amount' },
      );
    }
    metadataOf.set(done.refund.providerReference, wanted.metadata);
    return refundRecord(record, done.refund);
  }

  /** Stripe does not interpret references in metadata: asking twice refunds twice. */
  function freeRefund(charge: BookedCharge, wanted: string): string {
    const isTaken = (reference: string) =>
      charge.refunds.some((refund) => refund.reference === reference);
    let reference = wanted;
    for (let nth = 2; isTaken(reference); nth += 1) reference = `${wanted}#${nth}`;
    return reference;
  }

  function refundRecord(record: SessionRecord, refund: BookedRefund): RefundRecord {
    const metadata = metadataOf.get(refund.providerReference) ?? {};
    return { ...refund, session: record, metadata };
  }

  function refundsOf(record: SessionRecord): RefundRecord[] {
    return (chargeOf(record)?.refunds ?? []).map((refund) => refundRecord(record, refund));
  }

  return {
    open,
    session,
    chargeOf,
    statusOf,
    expire,
    paidBy,
    refund,
    refundsOf,
    pageOf,
    sessions: () => [...sessions.values()],
    sessionOf: (reference: string) =>
      [...sessions.values()].find((record) => record.reference === reference),
    refunds: () => [...sessions.values()].flatMap(refundsOf),
    tellAt(address: string) {
      endpoint = address;
    },
  };
}

export function seconds(ms: number): number {
  return Math.floor(ms / 1000);
}
