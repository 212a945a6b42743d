import type { Clock } from '../../domain/clock.ts';
import type { PaymentReference } from '../../domain/ids.ts';
import { textOf } from '../json.ts';
import type { Charge, Outcome, PaymentRef } from '../provider.ts';
import { actionOf } from './action.ts';
import type { Answer, Client, Fields } from './client.ts';
import { amountMax, fenOf } from './money.ts';
import { sceneOf } from './wish.ts';

/** How long after its beginning a charge counts as new, ms. */
const newMs = 10_000;
/** How many references this process remembers, the latest ones. */
const rememberedMax = 10_000;

/** Payments as Alipay's trades. A trade exists once the buyer has logged in on the page we signed. */
export function openPayments({ client, clock }: { client: Client; clock: Clock }) {
  const remembered = new Map<string, 'offered' | 'closed'>();

  function remember(reference: PaymentReference, what: 'offered' | 'closed'): void {
    remembered.delete(reference);
    remembered.set(reference, what);
    const [oldest] = remembered.size > rememberedMax ? remembered.keys() : [];
    if (oldest !== undefined) remembered.delete(oldest);
  }

  /** Signs what the buyer pays with. Alipay is not called, except for what may have begun before. */
  async function start(charge: Charge): Promise<Outcome> {
    const { reference, amount } = charge;
    const scene = sceneOf(charge.wish);
    if (!scene || amount < 1 || amount > amountMax) {
      return { reference, kind: 'declined', reason: 'declined' };
    }
    const known = isNew(charge) ? undefined : await lookUp(charge);
    if (known && known.kind !== 'none' && known.kind !== 'pending') return known;
    if (clock.now() >= charge.expiresAt || remembered.get(reference) === 'closed') {
      // It cannot or must not be paid any more. A trade that is still open is the caller's to close.
      return known?.kind === 'pending' ? known : { reference, kind: 'declined', reason: 'closed' };
    }
    remember(reference, 'offered');
    return { ...known, reference, kind: 'pending', action: actionOf(client, charge, scene) };
  }

  /**
   * Whether a charge can be offered without asking Alipay what became of it, which saves a call for
   * nearly every buyer: nobody logs in and pays within seconds of the beginning. Later, and when this
   * process offered or closed it before, Alipay is asked, so that nothing that has ended is offered.
   */
  function isNew({ reference, startedAt }: Charge): boolean {
    return !remembered.has(reference) && Math.abs(clock.now() - startedAt) < newMs;
  }

  async function lookUp({ reference }: PaymentRef): Promise<Outcome> {
    const answer = await client.call('alipay.trade.query', { out_trade_no: reference });
    if (!isAbout(answer, reference)) return { reference, kind: 'unknown' };
    if (answer.kind === 'done') return outcomeOf(reference, answer.fields);
    const isMissing = answer.kind === 'refused' && answer.code === 'ACQ.TRADE_NOT_EXIST';
    return { reference, kind: isMissing ? 'none' : 'unknown' };
  }

  /**
   * Closes the trade, so that it cannot be paid any more. A trade that does not exist yet cannot be
   * closed: its page can be opened and paid until `time_expire`, which is a late capture then.
   */
  async function close(payment: PaymentRef): Promise<Outcome> {
    const { reference } = payment;
    remember(reference, 'closed');
    const answer = await client.call('alipay.trade.close', { out_trade_no: reference });
    if (answer.kind === 'unknown' || !isAbout(answer, reference)) {
      return { reference, kind: 'unknown' };
    }
    if (answer.kind === 'done' || answer.code === 'ACQ.TRADE_NOT_EXIST') {
      return { reference, kind: 'declined', reason: 'closed' };
    }
    // It was paid or closed before, or has to be closed again: the trade itself says which.
    return await lookUp(payment);
  }

  return { start, lookUp, close };
}

function outcomeOf(reference: PaymentReference, fields: Fields): Outcome {
  const amount = fenOf(fields['total_amount']);
  const known = { reference, providerReference: textOf(fields, 'trade_no') };
  switch (fields['trade_status']) {
    case 'WAIT_BUYER_PAY':
      return { ...known, kind: 'pending' };
    case 'TRADE_SUCCESS':
    // Paid, and no refund is possible any more.
    case 'TRADE_FINISHED':
      // The query does not say how much of it was refunded.
      return amount ? { ...known, kind: 'captured', amount } : { ...known, kind: 'unknown' };
    case 'TRADE_CLOSED':
      // Either never paid or refunded in full. Only a trade that was paid has a payment date.
      if (!textOf(fields, 'send_pay_date')) {
        return { ...known, kind: 'declined', reason: 'closed' };
      }
      if (!amount) return { ...known, kind: 'unknown' };
      return { ...known, kind: 'captured', amount, refunded: amount };
    default:
      return { ...known, kind: 'unknown' };
  }
}

/**
 * Whether an answer is about a trade. A signed answer does not name its question, so a genuine answer
 * to another question must not pass for the answer to this one.
 */
export function isAbout(answer: Answer, reference: PaymentReference): boolean {
  if (answer.kind === 'unknown') return true;
  const about = answer.fields['out_trade_no'];
  // Refusals may leave it out.
  return about === reference || (answer.kind === 'refused' && about === undefined);
}
