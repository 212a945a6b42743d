import type { ProviderOffer } from '../on-first-use.ts';
import { amountMax } from './money.ts';
import { answerNotification } from './notification.ts';
import { refuseWish, scenes } from './wish.ts';

/** What is known of Alipay without its library. */
export const alipayOffer: ProviderOffer = {
  name: 'alipay',
  startedBy: 'buyer',
  takes: (currency, amount = 1) => currency === 'CNY' && amount >= 1 && amount <= amountMax,
  scenes,
  refuseWish,
  answerNotification,
};
