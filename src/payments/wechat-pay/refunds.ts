import type { Refund, RefundOutcome } from '../provider.ts';
import { amountOf, type Fields, textOf, within } from './json.ts';
import { currency, cut, type Merchant } from './merchant.ts';
import { lookUp, refusalOf } from './transactions.ts';

const path = '/v3/refund/domestic/refunds';
/** Its account is too low: the same refund goes through once the merchant has filled it. */
const later = ['NOTENOUGH'];

/** Gives money back, or tells what became of it: the same reference is one refund. */
export async function refund(merchant: Merchant, wanted: Refund): Promise<RefundOutcome> {
  const { refundReference, payment } = wanted;
  const reason = cut(wanted.reason, 80, Buffer.byteLength);
  const answer = await merchant.client.call({
    method: 'POST',
    path,
    body: {
      // By its own number it finds orders that it does not find by ours yet.
      ...(payment.providerReference
        ? { transaction_id: payment.providerReference }
        : { out_trade_no: payment.reference }),
      out_refund_no: refundReference,
      ...(reason === '' ? {} : { reason }),
      notify_url: merchant.notifyUrl,
      amount: { refund: wanted.amount, total: wanted.captured, currency },
    },
  });
  if (answer.kind === 'done') return stateOf(refundReference, answer.fields);
  if (answer.kind === 'unknown') return { refundReference, kind: 'unknown' };
  // It refuses this request; an earlier one by the same reference may have come to something.
  const earlier = await findEarlier(merchant, refundReference);
  if (earlier) return earlier;
  merchant.warn(refusalOf(refundReference, answer));
  if (later.includes(answer.code)) return { refundReference, kind: 'unknown' };
  const failed = {
    refundReference,
    kind: 'failed',
    reason: answer.message || answer.code,
  } as const;
  if (answer.code !== 'RESOURCENOTEXISTS') return failed;
  // It says so at times of an order that was paid a moment ago.
  const { kind } = await lookUp(merchant, payment);
  return kind === 'none' || kind === 'declined' ? failed : { refundReference, kind: 'unknown' };
}

/** The refund of this reference; undefined when WeChat Pay has never heard of it. */
async function findEarlier(
  merchant: Merchant,
  refundReference: string,
): Promise<RefundOutcome | undefined> {
  const answer = await merchant.client.call({
    method: 'GET',
    path: `${path}/${encodeURIComponent(refundReference)}`,
  });
  if (answer.kind === 'done') return stateOf(refundReference, answer.fields);
  const isUnheardOf = answer.kind === 'refused' && answer.code === 'RESOURCENOTEXISTS';
  return isUnheardOf ? undefined : { refundReference, kind: 'unknown' };
}

function stateOf(refundReference: string, fields: Fields): RefundOutcome {
  const amount = amountOf(within(fields, 'amount'), 'refund');
  if (textOf(fields, 'out_refund_no') !== refundReference || amount === undefined) {
    return { refundReference, kind: 'unknown' };
  }
  const known = { refundReference, providerReference: textOf(fields, 'refund_id') };
  switch (textOf(fields, 'status')) {
    case 'SUCCESS':
      return { ...known, kind: 'refunded', amount };
    case 'PROCESSING':
      return { ...known, kind: 'pending' };
    case 'CLOSED':
      return { ...known, kind: 'failed', reason: 'WeChat Pay closed the refund' };
    case 'ABNORMAL':
      return {
        ...known,
        kind: 'failed',
        reason: "the buyer's account does not take it: finish it on WeChat Pay's merchant platform",
      };
    default:
      return { ...known, kind: 'unknown' };
  }
}
