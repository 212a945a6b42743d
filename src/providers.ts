import type { Config } from './config.ts';
import type { Ledger } from './ledger/ledger.ts';
import type { PaymentProvider } from './payments/provider.ts';
import { openWallet } from './payments/wallet/wallet.ts';

export type Providers = ReadonlyMap<string, PaymentProvider>;

/** The ways to be paid that are configured. Their libraries are loaded only where they are. */
export async function openProviders({
  ledger,
}: {
  config: Config;
  ledger: Ledger;
}): Promise<Providers> {
  const wallet = openWallet({ database: ledger.database, accounts: ledger.accounts });
  const opened: PaymentProvider[] = [wallet];
  return new Map(opened.map((provider) => [provider.name, provider]));
}
