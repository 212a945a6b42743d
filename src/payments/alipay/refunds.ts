import type { Clock } from '../../domain/clock.ts';
import type { Refund, RefundLookUp, RefundOutcome } from '../provider.ts';
import type { Client } from './client.ts';
import { fenOf, yuanOf } from './money.ts';
import { isAbout } from './payments.ts';

/** Refusals that no repeat will change. Any other code leaves the refund open. */
const finalCodes = new Set([
  'ACQ.BUYER_ENABLE_STATUS_FORBID',
  'ACQ.BUYER_ERROR',
  'ACQ.BUYER_NOT_EXIST',
  'ACQ.CURRENCY_NOT_SUPPORT',
  'ACQ.DISCORDANT_REPEAT_REQUEST',
  'ACQ.INVALID_PARAMETER',
  'ACQ.NOT_ALLOW_PARTIAL_REFUND',
  'ACQ.ONLINE_TRADE_VOUCHER_NOT_ALLOW_REFUND',
  'ACQ.REASON_TRADE_REFUND_FEE_ERR',
  'ACQ.REASON_TRADE_STATUS_INVALID',
  'ACQ.REFUND_ACCOUNT_NOT_EXIST',
  'ACQ.REFUND_AMT_NOT_EQUAL_TOTAL',
  'ACQ.REFUND_FEE_ERROR',
  'ACQ.TRADE_HAS_CLOSE',
  'ACQ.TRADE_HAS_FINISHED',
  'ACQ.TRADE_NOT_ALLOW_REFUND',
  'ACQ.TRADE_NOT_EXIST',
  'ACQ.TRADE_STATUS_ERROR',
  'ACQ.USER_NOT_MATCH_ERR',
]);
const reasonLengthMax = 256;

/**
 * A query may miss a younger refund that Alipay makes all the same. This long after it, no
 * `refund_status` means that Alipay never had the request or that it failed, as Alipay's SDK says of that
 * field: https://docs.open.alipay.com/api_1/alipay.trade.fastpay.refund.query
 */
const querySureMs = 10_000;

/** Makes refunds of one trade, one after the other as Alipay requires. */
export function openRefunds(options: { client: Client; clock: Clock }) {
  return async (refunds: readonly Refund[]): Promise<RefundOutcome[]> => {
    const outcomes: RefundOutcome[] = [];
    for (const refund of refunds) outcomes.push(await refundOnce(options, refund));
    return outcomes;
  };
}

/** Makes a refund. Alipay makes it once however often it is asked: `out_request_no` identifies it. */
async function refundOnce(
  { client, clock }: { client: Client; clock: Clock },
  refund: Refund,
): Promise<RefundOutcome> {
  const { refundReference, payment, amount, reason } = refund;
  const answer = await client.call('alipay.trade.refund', {
    out_trade_no: payment.reference,
    out_request_no: refundReference,
    refund_amount: yuanOf(amount),
    refund_reason: reason === '' ? undefined : reason.slice(0, reasonLengthMax),
  });
  const isOurs = isAbout(answer, payment.reference);
  if (isOurs && answer.kind === 'done' && answer.fields['fund_change'] === 'Y') {
    return { refundReference, kind: 'refunded', amount };
  }
  // Done without moving money now, refused, or no answer: only a query of the refund can say.
  const earlier = await lookUpRefund({ client, clock }, refund);
  if (earlier) return earlier;
  if (answer.kind === 'refused' && isOurs) {
    // The same request succeeds once the merchant's account has enough money.
    if (answer.code === 'ACQ.SELLER_BALANCE_NOT_ENOUGH') {
      return { refundReference, kind: 'pending' };
    }
    if (finalCodes.has(answer.code))
      return { refundReference, kind: 'failed', reason: answer.code };
  }
  return { refundReference, kind: 'unknown' };
}

/** The refund at Alipay; undefined when Alipay does not know it: it was requested again just now. */
async function lookUpRefund(
  options: { client: Client; clock: Clock },
  refund: Refund,
): Promise<RefundOutcome | undefined> {
  const answer = await queryRefund(options, refund);
  return answer.kind === 'refunded' || answer.kind === 'failed' ? answer : undefined;
}

/** The present state of a refund, without making it. */
export async function queryRefund(
  { client, clock }: { client: Client; clock: Clock },
  refund: Refund,
): Promise<RefundLookUp> {
  const { refundReference, payment, amount, askedAt } = refund;
  const answer = await client.call('alipay.trade.fastpay.refund.query', {
    out_trade_no: payment.reference,
    out_request_no: refundReference,
  });
  if (answer.kind !== 'done') return { refundReference, kind: 'unknown' };
  const { out_trade_no, out_request_no, refund_status, refund_amount } = answer.fields;
  // About a refund that it has not made, Alipay answers with nothing but success, or with its name alone.
  const isOfAnother =
    (out_trade_no ?? payment.reference) !== payment.reference ||
    (out_request_no ?? refundReference) !== refundReference;
  if (!isOfAnother && refund_status === undefined && refund_amount === undefined) {
    return { refundReference, kind: clock.now() - askedAt > querySureMs ? 'none' : 'unknown' };
  }
  if (!isAbout(answer, payment.reference)) return { refundReference, kind: 'unknown' };
  if (out_request_no !== refundReference || refund_status !== 'REFUND_SUCCESS') {
    return { refundReference, kind: 'unknown' };
  }
  if (fenOf(refund_amount) === amount) return { refundReference, kind: 'refunded', amount };
  const reason = `${refund_amount} yuan were refunded under this reference, not ${yuanOf(amount)}`;
  return { refundReference, kind: 'failed', reason };
}
