import type { PaymentProvider } from '../../src/payments/provider.ts';
import { eventually } from './eventually.ts';

export type StallingWallet = {
  /** Stands before an engine's wallet: its `provider` option. */
  provider(wallet: PaymentProvider): PaymentProvider;
  /** From now on this buyer's payment waits for the buyer, who does nothing. */
  keepWaiting(buyer: string): void;
  /** From now on this buyer's money is captured at once, and the engine gets the answer on `reply`. */
  takeSilently(buyer: string): { taken(): Promise<void>; reply(): void };
  /** From now on this buyer's payment works as usual. */
  letGo(buyer: string): void;
};

/** A wallet that acts as a slow provider for the buyers a test names, and as usual for all others. */
export function openStallingWallet(): StallingWallet {
  const waiting = new Set<string>();
  const silent = new Map<string, { taken: boolean; replied: Promise<void> }>();

  return {
    // Without `startWithin`: a charge within the ledger's transaction cannot stall.
    provider: ({ startWithin: _, ...wallet }) => ({
      ...wallet,
      async start(charges) {
        const stalled = charges.filter(({ buyer }) => waiting.has(buyer));
        const outcomes = await wallet.start(charges.filter(({ buyer }) => !waiting.has(buyer)));
        for (const { buyer } of charges) {
          const pact = silent.get(buyer);
          if (pact) pact.taken = true;
          await pact?.replied;
        }
        return [
          ...outcomes,
          ...stalled.map(({ reference }) => ({ reference, kind: 'pending' as const })),
        ];
      },
    }),
    keepWaiting: (buyer) => void waiting.add(buyer),
    letGo: (buyer) => void waiting.delete(buyer),
    takeSilently(buyer) {
      const { promise: replied, resolve: reply } = Promise.withResolvers<void>();
      const pact = { taken: false, replied };
      silent.set(buyer, pact);
      return {
        taken: () => eventually(() => pact.taken).then(() => {}),
        reply,
      };
    },
  };
}
