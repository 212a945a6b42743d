import { type Book, count } from './book.ts';
import type { BuyerPlan } from './plan.ts';
import { type Answer, type Call, untilTold } from './wire.ts';

const askMsMax = 60_000;

/** The merchant refunds as planned: an order in full, or parts of it. */
export async function giveBack(
  { call, book, merchantKey: token }: { call: Call; book: Book; merchantKey: string },
  { order, price, refund }: { order: string; price: number; refund: BuyerPlan['refund'] },
): Promise<void> {
  const path = `/v1/orders/${order}/refund`;
  const until = Date.now() + askMsMax;
  const isVague = ({ status, code }: Answer) => {
    return code !== 'outcome_unknown' && (status === 0 || status >= 500 || status === 429);
  };

  async function part(amount: number, key: string): Promise<boolean> {
    const body = { amount, reason: 'mayhem' };
    const ask = () => call('POST', path, { token, key, body });
    const answer = await untilTold(ask, { until, isVague });
    // Repeating the key refunds nothing more.
    await untilTold(ask, { until, isVague });
    const isAsked = answer.status === 200 || answer.status === 202;
    if (isAsked) book.parts.set(order, (book.parts.get(order) ?? 0) + amount);
    else if (isVague(answer) || answer.code === 'outcome_unknown')
      book.breaches.push(`${order}: a part came to ${answer.text}`);
    else count(book, `no part: ${answer.code}`);
    return isAsked;
  }

  if (refund === 'none') return;
  if (refund === 'whole') {
    const answer = await untilTold(() => call('POST', path, { token, body: {} }), {
      until,
      isVague,
    });
    // 202: the engine continues by itself.
    if ([200, 202].includes(answer.status) || answer.code === 'outcome_unknown')
      book.wholes.add(order);
    else count(book, `no refund: ${answer.code || answer.status}`);
    return;
  }
  const amounts = refund.shares.map((share) => Math.floor(share * price));
  // In parallel: together they must never exceed the price.
  await Promise.all(amounts.map((amount, nth) => part(amount, `${order}-${nth}`)));
  if (!refund.withRest) return;
  const rest = price - (book.parts.get(order) ?? 0);
  if (await part(rest, `${order}-rest`)) book.wholes.add(order);
}
