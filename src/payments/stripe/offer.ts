import type { ProviderOffer } from '../on-first-use.ts';
import type { NotificationAnswer, NotificationVerdict } from '../provider.ts';
import { takes } from './money.ts';
import { refuseWish } from './wish.ts';

/** What is known of Stripe without its library. */
export const stripeOffer: ProviderOffer = {
  name: 'stripe',
  startedBy: 'buyer',
  takes,
  scenes: [],
  refuseWish,
  answerNotification,
};

function answerNotification(verdict: NotificationVerdict): NotificationAnswer {
  const contentType = 'application/json';
  if (verdict === 'taken') return { status: 200, contentType, body: '{"received":true}' };
  return { status: verdict === 'refused' ? 400 : 503, contentType, body: '{"received":false}' };
}
