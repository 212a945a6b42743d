import { type Clock, systemClock } from '../../domain/clock.ts';
import { mapConcurrently } from '../concurrency.ts';
import type { PaymentProvider, PaymentRef } from '../provider.ts';
import { AlipaySettingsError, openClient } from './client.ts';
import { readNotification } from './notification.ts';
import { alipayOffer } from './offer.ts';
import { openPayments } from './payments.ts';
import { openRefunds } from './refunds.ts';

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
  const refundInTurn = openRefunds(client);
  const unknown = ({ reference }: PaymentRef) => ({ reference, kind: 'unknown' }) as const;

  return {
    ...alipayOffer,
    start: (charges) => answerEach(charges, payments.start, unknown),
    lookUp: (refs) => answerEach(refs, payments.lookUp, unknown),
    close: (refs) => answerEach(refs, payments.close, unknown),
    async refund(refunds) {
      const trades = Map.groupBy(refunds, ({ payment }) => payment.reference);
      const outcomes = await answerEach([...trades.values()], refundInTurn, (group) =>
        group.map(({ refundReference }) => ({ refundReference, kind: 'unknown' as const })),
      );
      return outcomes.flat();
    },
    readNotification: async (raw) =>
      readNotification(raw, {
        appId,
        sellerId,
        isSigned: client.isSigned,
        now: () => clock.now(),
      }),
  };
}

/**
 * Answers every item. An item without an answer because our settings are wrong is `unknown` like any
 * other without an answer.
 * @throws AlipaySettingsError when the settings cost every item its answer
 */
async function answerEach<T, R>(
  items: readonly T[],
  answer: (item: T) => Promise<R>,
  unknown: (item: T) => R,
): Promise<R[]> {
  const refusals: AlipaySettingsError[] = [];
  const answers = await mapConcurrently(items, callsMax, async (item) => {
    try {
      return await answer(item);
    } catch (error) {
      if (!(error instanceof AlipaySettingsError)) throw error;
      refusals.push(error);
      return unknown(item);
    }
  });
  if (refusals[0] && refusals.length === items.length) throw refusals[0];
  return answers;
}
