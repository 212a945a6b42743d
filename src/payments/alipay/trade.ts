import type { Outcome } from '../provider.ts';
import type { Answer, Fields, Gateway } from './gateway.ts';
import { fenOf } from './yuan.ts';

/** What Alipay knows of the trade under our reference. */
export async function lookUpTrade(gateway: Gateway, reference: string): Promise<Outcome> {
  const answer = await gateway.ask('alipay.trade.query', { out_trade_no: reference });
  if (!isAbout(answer, reference)) return { reference, kind: 'unknown' };
  if (answer.kind === 'done') return outcomeOf(reference, answer.fields);
  // A trade is made when the buyer logs in on the page, not when we sign the address of it.
  const unheard = answer.kind === 'refused' && answer.code === 'ACQ.TRADE_NOT_EXIST';
  return { reference, kind: unheard ? 'none' : 'unknown' };
}

/**
 * Makes sure that the trade is not paid any more. One that was never made cannot be closed: until
 * `time_expire` the page can still be opened and paid, which is then a late capture like any other.
 */
export async function closeTrade(gateway: Gateway, reference: string): Promise<Outcome> {
  const answer = await gateway.ask('alipay.trade.close', { out_trade_no: reference });
  if (answer.kind === 'unknown' || !isAbout(answer, reference)) {
    return { reference, kind: 'unknown' };
  }
  if (answer.kind === 'done' || answer.code === 'ACQ.TRADE_NOT_EXIST') {
    return { reference, kind: 'declined', reason: 'closed' };
  }
  // It is not waiting for the buyer any more: paid, or closed before.
  const outcome = await lookUpTrade(gateway, reference);
  const ended = outcome.kind === 'captured' || outcome.kind === 'declined';
  return ended ? outcome : { reference, kind: 'unknown' };
}

function outcomeOf(reference: string, fields: Fields): Outcome {
  const amount = fenOf(fields['total_amount']);
  const known = {
    reference,
    ...(isText(fields['trade_no']) && { providerReference: fields['trade_no'] }),
  };
  switch (fields['trade_status']) {
    case 'WAIT_BUYER_PAY':
      return { ...known, kind: 'pending' };
    case 'TRADE_SUCCESS':
    // No refund is possible any more; the money was taken all the same.
    case 'TRADE_FINISHED':
      // What a part of it came to that was given back, the query does not tell.
      return amount ? { ...known, kind: 'captured', amount } : { ...known, kind: 'unknown' };
    case 'TRADE_CLOSED':
      // One word for two ends: never paid, or given back in full. Only a payment has its date.
      if (!isText(fields['send_pay_date'])) return { ...known, kind: 'declined', reason: 'closed' };
      if (!amount) return { ...known, kind: 'unknown' };
      return { ...known, kind: 'captured', amount, refunded: amount };
    default:
      return { ...known, kind: 'unknown' };
  }
}

const isText = (value: unknown): value is string => typeof value === 'string' && value !== '';

/** A signed answer does not say what was asked: one to another question must not pass for ours. */
export function isAbout(answer: Answer, reference: string): boolean {
  if (answer.kind === 'unknown') return true;
  const about = answer.fields['out_trade_no'];
  // Refusals may leave it out.
  return about === reference || (answer.kind === 'refused' && about === undefined);
}
