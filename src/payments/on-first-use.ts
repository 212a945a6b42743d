import { required } from '../domain/required.ts';
import type { BillLine, PaymentProvider } from './provider.ts';

/** What is known of a provider without its library: its name and what it takes. */
export type ProviderOffer = Pick<
  PaymentProvider,
  'name' | 'startedBy' | 'takes' | 'scenes' | 'refuseWish' | 'answerNotification' | 'billedUntil'
>;

/**
 * A provider whose code is loaded at its first call: the libraries of Stripe and Alipay cost each
 * process 20 MB and half a second. A load that failed is tried again at the next call.
 */
export function openOnFirstUse(options: {
  offer: ProviderOffer;
  /** Whether the provider lists its captures and refunds. */
  hasBill: boolean;
  open(): Promise<PaymentProvider>;
}): PaymentProvider {
  const { offer, hasBill, open } = options;
  let opening: Promise<PaymentProvider> | undefined;

  function provider(): Promise<PaymentProvider> {
    opening ??= open().catch((error: unknown) => {
      opening = undefined;
      throw error;
    });
    return opening;
  }

  async function* bill(window: { from: number; until: number }): AsyncGenerator<BillLine> {
    const opened = await provider();
    yield* required(opened.bill, `bill of ${offer.name}`)(window);
  }

  return {
    ...offer,
    ...(hasBill && { bill }),
    start: async (charges) => (await provider()).start(charges),
    lookUp: async (payments) => (await provider()).lookUp(payments),
    close: async (payments) => (await provider()).close(payments),
    refund: async (refunds) => (await provider()).refund(refunds),
    async lookUpRefunds(refunds) {
      const opened = await provider();
      return await required(opened.lookUpRefunds, `refunds of ${offer.name}`)(refunds);
    },
    async readNotification(raw) {
      const opened = await provider();
      return await required(opened.readNotification, `notifications of ${offer.name}`)(raw);
    },
  };
}
