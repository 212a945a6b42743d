import { amountOf, type Fields, fieldsOf, textOf } from '../json.ts';
import type { Refund, RefundLookUp, RefundOutcome } from '../provider.ts';
import type { Merchant } from './merchant.ts';
import { currency } from './money.ts';
import { lookUp, refusalOf } from './payments.ts';
import { cut } from './text.ts';

const path = '/v3/refund/domestic/refunds';
/** The merchant's account has too little money: the same refund succeeds once it has enough. */
const notEnough = 'NOTENOUGH';
const reasonBytesMax = 80;

/** Makes a refund; repeating it gives its outcome, since a reference is one refund. */
export async function refund(merchant: Merchant, wanted: Refund): Promise<RefundOutcome> {
  const { refundReference, payment } = wanted;
  const reason = cut(wanted.reason, reasonBytesMax, Buffer.byteLength);
  const answer = await merchant.client.call({
    method: 'POST',
    path,
    body: {
      // WeChat Pay finds an order by its own number before it finds it by ours.
      ...(payment.providerReference
        ? { transaction_id: payment.providerReference }
        : { out_trade_no: payment.reference }),
      out_refund_no: refundReference,
      reason: reason === '' ? undefined : reason,
      notify_url: merchant.notifyUrl,
      amount: { refund: wanted.amount, total: wanted.captured, currency },
    },
  });
  if (answer.kind === 'done') return outcomeOf(refundReference, answer.fields);
  if (answer.kind === 'unknown') return { refundReference, kind: 'unknown' };
  // This request was refused, but an earlier one under the same reference may have succeeded.
  const earlier = await findEarlier(merchant, refundReference);
  if (earlier) return earlier;
  merchant.warn(refusalOf(refundReference, answer));
  if (answer.code === notEnough) return { refundReference, kind: 'unknown' };
  const failed = {
    refundReference,
    kind: 'failed',
    reason: answer.message || answer.code,
  } as const;
  if (answer.code !== 'RESOURCENOTEXISTS') return failed;
  // WeChat Pay sometimes answers this about an order that was paid a moment ago.
  const { kind } = await lookUp(merchant, payment);
  return kind === 'none' || kind === 'declined' ? failed : { refundReference, kind: 'unknown' };
}

/** The present state of a refund, without making it. */
export async function lookUpRefund(
  merchant: Merchant,
  { refundReference }: Refund,
): Promise<RefundLookUp> {
  return (await findEarlier(merchant, refundReference)) ?? { refundReference, kind: 'none' };
}

/** The refund of a reference; undefined when WeChat Pay does not know it. */
async function findEarlier(
  merchant: Merchant,
  refundReference: string,
): Promise<RefundOutcome | undefined> {
  const answer = await merchant.client.call({
    method: 'GET',
    path: `${path}/${encodeURIComponent(refundReference)}`,
  });
  if (answer.kind === 'done') return outcomeOf(refundReference, answer.fields);
  const isMissing = answer.kind === 'refused' && answer.code === 'RESOURCENOTEXISTS';
  return isMissing ? undefined : { refundReference, kind: 'unknown' };
}

function outcomeOf(refundReference: string, fields: Fields): RefundOutcome {
  const amount = amountOf(fieldsOf(fields, 'amount'), 'refund');
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
        reason:
          "the buyer's account does not accept it: finish it on WeChat Pay's merchant platform",
      };
    default:
      return { ...known, kind: 'unknown' };
  }
}
