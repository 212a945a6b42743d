import type { ProviderOffer } from '../on-first-use.ts';
import { answerNotification } from './notification.ts';
import { refuseWish, scenes } from './wish.ts';

/** What is known of Alipay without its library. */
export const alipayOffer: ProviderOffer = {
  name: 'alipay',
  startedBy: 'buyer',
  takes: (currency) => currency === 'CNY',
  scenes,
  refuseWish,
  answerNotification,
};
