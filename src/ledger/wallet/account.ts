export type AccountKind = 'buyer' | 'merchant' | 'funding';

/** An account by its owner: a buyer's wallet, a merchant's takings, or a source of top-ups. */
export type AccountRef = {
  kind: AccountKind;
  owner: string;
  currency: string;
  /** Which row of a merchant's account (see sql/0008_account_slots.sql); any when absent. */
  slot?: number;
};

/** `balance` is in minor units. */
export type Account = AccountRef & { id: number; balance: number };

export type TransferKind = 'capture' | 'refund' | 'topup';

/** An account's name, whatever its slot. */
export function accountKey(ref: AccountRef): string {
  return `${ref.kind}:${ref.currency}:${ref.owner}`;
}
