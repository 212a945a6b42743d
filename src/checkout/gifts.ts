import { hash } from 'node:crypto';
import type { BuyerId } from '../domain/ids.ts';
import type { Accounts } from '../ledger/wallet/accounts.ts';

/** An amount that the demo gives, in minor units of a currency. */
export type Gift = { amount: number; currency: string };

/** Money that nobody paid, for demo mode only. */
export type Gifts = {
  /** Adds money to a buyer's wallet, once for each key of the buyer. */
  give(gift: Gift & { buyer: BuyerId; key: string }): Promise<
    | { kind: 'done'; balance: number }
    /** The key was used for another amount or currency. */
    | { kind: 'reused' }
  >;
  /** Adds money to the wallets of new buyers: once for each buyer and currency. */
  welcome(buyers: readonly string[], gift: Gift): Promise<void>;
};

export function openGifts({ accounts }: { accounts: Pick<Accounts, 'topUp' | 'topUpAll'> }): Gifts {
  return {
    async give({ buyer, currency, amount, key }) {
      return await accounts.topUp({ buyer, currency, amount, reference: referenceOf(buyer, key) });
    },

    async welcome(buyers, { amount, currency }) {
      if (amount === 0) return;
      await accounts.topUpAll(
        buyers.map((buyer) => {
          const reference = referenceOf(buyer, `welcome ${currency}`);
          return { buyer, currency, amount, reference };
        }),
      );
    },
  };
}

/** A digest, so that references contain no text of callers. */
function referenceOf(buyer: BuyerId, key: string): string {
  return `topup_${hash('sha256', `${buyer}\0${key}`, 'base64url').slice(0, 22)}`;
}
