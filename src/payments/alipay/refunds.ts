import type { Refund, RefundOutcome } from '../provider.ts';
import type { Gateway } from './gateway.ts';
import { isAbout } from './trade.ts';
import { fenOf, yuanOf } from './yuan.ts';

/** Refusals that no repeat will change. A code not listed leaves the refund open. */
const final = new Set([
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
/** Alipay's limit of a reason. */
const reasonMax = 256;

/** Gives money back once, however often it is asked: `out_request_no` is what Alipay goes by. */
export async function giveBack(gateway: Gateway, refund: Refund): Promise<RefundOutcome> {
  const { refundReference, payment, amount, reason } = refund;
  const answer = await gateway.ask('alipay.trade.refund', {
    out_trade_no: payment.reference,
    out_request_no: refundReference,
    refund_amount: yuanOf(amount),
    ...(reason && { refund_reason: reason.slice(0, reasonMax) }),
  });
  const isOurs = isAbout(answer, payment.reference);
  if (isOurs && answer.kind === 'done' && answer.fields['fund_change'] === 'Y') {
    return { refundReference, kind: 'refunded', amount };
  }
  // Done that moved no money now, refused or not answered: only the refund itself can tell.
  const earlier = await lookUpRefund(gateway, refund);
  if (earlier) return earlier;
  if (answer.kind === 'refused' && isOurs) {
    // Goes through as it stands once the merchant's account has the money again.
    if (answer.code === 'ACQ.SELLER_BALANCE_NOT_ENOUGH')
      return { refundReference, kind: 'pending' };
    if (final.has(answer.code)) return { refundReference, kind: 'failed', reason: answer.code };
  }
  return { refundReference, kind: 'unknown' };
}

/**
 * The refund as it stands at Alipay; undefined when it does not, or not yet: a look-up within ten
 * seconds may miss one that is under way, so nothing is concluded from a miss.
 */
async function lookUpRefund(gateway: Gateway, refund: Refund): Promise<RefundOutcome | undefined> {
  const { refundReference, payment, amount } = refund;
  const answer = await gateway.ask('alipay.trade.fastpay.refund.query', {
    out_trade_no: payment.reference,
    out_request_no: refundReference,
  });
  if (answer.kind !== 'done' || !isAbout(answer, payment.reference)) return undefined;
  const { out_request_no, refund_status, refund_amount } = answer.fields;
  if (out_request_no !== refundReference || refund_status !== 'REFUND_SUCCESS') return undefined;
  if (fenOf(refund_amount) === amount) return { refundReference, kind: 'refunded', amount };
  const reason = `${refund_amount} yuan were given back under this reference, not ${yuanOf(amount)}`;
  return { refundReference, kind: 'failed', reason };
}
