export type AccountKind = 'buyer' | 'merchant' | 'funding';

/** Whose account: a buyer's wallet, a merchant's takings, or where top-ups come from. */
export type AccountRef = {
  kind: AccountKind;
  owner: string;
  currency: string;
  /** The row of a merchant's account that is meant; left out, any is as good as another. */
  slot?: number;
};

export type Account = AccountRef & { id: number; balance: number };

export type TransferKind = 'capture' | 'refund' | 'topup';

/** What `lock` names an account by. */
export function accountKey(ref: AccountRef): string {
  return `${ref.kind}:${ref.currency}:${ref.owner}`;
}
