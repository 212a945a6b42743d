import { type Clock, systemClock } from '../../domain/clock.ts';
import { answerEach } from '../concurrency.ts';
import {
  type Outcome,
  type PaymentProvider,
  type PaymentRef,
  unknownOutcome,
  unknownRefund,
} from '../provider.ts';
import { openClient } from './client.ts';
import { readNotification } from './notification.ts';
import { alipayOffer } from './offer.ts';
import { openPayments } from './payments.ts';
import { openRefunds, queryRefund } from './refunds.ts';

export type AlipayOptions = {
  appId: string;
  /** The merchant's own account: 2088 and twelve more digits. */
  sellerId: string;
  /** The application's, PEM. */
  privateKey: string;
  /** Alipay's, PEM. */
  alipayPublicKey: string;
  /** Alipay's gateway. */
  url: string;
  /** Our address for Alipay's notifications. */
  notifyUrl: string;
  timeoutMs?: number;
  clock?: Clock;
};

/** Calls to the gateway at a time, for one batch. */
const callsMax = 16;

/**
 * Alipay, on the pages of a shop (`page`, `wap`) and in its app. Beginning a payment calls nobody:
 * what the buyer gets is signed here, and Alipay makes the trade when the buyer logs in.
 */
export function openAlipay(options: AlipayOptions): PaymentProvider {
  const { appId, sellerId, timeoutMs = 5_000, clock = systemClock } = options;
  const client = openClient({ ...options, timeoutMs, clock });
  const payments = openPayments({ client, clock });
  const refundInTurn = openRefunds({ client, clock });
  const each = <T extends PaymentRef>(
    items: readonly T[],
    answer: (item: T) => Promise<Outcome>,
  ) => {
    return answerEach(items, callsMax, { answer, unknown: unknownOutcome });
  };

  return {
    ...alipayOffer,
    start: (charges) => each(charges, payments.start),
    lookUp: (refs) => each(refs, payments.lookUp),
    close: (refs) => each(refs, payments.close),
    async refund(refunds) {
      const trades = Map.groupBy(refunds, ({ payment }) => payment.reference);
      const outcomes = await answerEach([...trades.values()], callsMax, {
        answer: refundInTurn,
        unknown: (group) => group.map(unknownRefund),
      });
      return outcomes.flat();
    },
    lookUpRefunds: (refunds) =>
      answerEach(refunds, callsMax, {
        answer: (wanted) => queryRefund({ client, clock }, wanted),
        unknown: unknownRefund,
      }),
    readNotification: async (raw) =>
      readNotification(raw, {
        appId,
        sellerId,
        isSigned: client.isSigned,
        now: () => clock.now(),
      }),
  };
}
