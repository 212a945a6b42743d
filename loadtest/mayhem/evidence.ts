import { type Ledger, openLedger } from '../../src/ledger/ledger.ts';
import type { AuditReport, Movement, SeenOrder } from '../auditor/sources.ts';
import type { Merchant } from '../merchant.ts';
import type { Book } from './book.ts';
import type { Plan } from './plan.ts';
import type { ProviderBook, Simulated, simulated } from './simulators.ts';

type Units = { available: number; held: number; sold: number; allotment: number };

/** The books of all sides after a run, read once. */
export type Evidence = {
  plan: Plan;
  book: Book;
  price: number;
  drops: { allotment: number; orders: SeenOrder[]; units: Units; audit: AuditReport | undefined }[];
  providers: Record<(typeof simulated)[number], ProviderBook>;
  wallet: Movement[];
  payments: LedgerPayment[];
  refunds: { state: string; count: number }[];
  notifications: { provider: string; kept: number; repeats: number }[];
};

/** A payment as the engine's ledger has it. */
export type LedgerPayment = {
  order: string;
  reference: string;
  provider: string;
  state: string;
  captured: number;
  refunded: number;
  looks: number;
};

export type Witnesses = {
  plan: Plan;
  book: Book;
  price: number;
  drops: { id: string; allotment: number }[];
  merchant: Merchant;
  simulators: Simulated[];
  ledger: Ledger;
};

const buyersAtOnce = 1_000;

export const openWitness = (databaseUrl: string) => openLedger({ databaseUrl });

/** Reads all books. The engine's own audit takes seconds and is optional. */
export async function gatherEvidence(
  { plan, book, price, drops, merchant, simulators, ledger }: Witnesses,
  { withAudit }: { withAudit: boolean },
): Promise<Evidence> {
  const { database } = ledger;
  const told = await Promise.all(simulators.map((one) => one.book()));
  const providers = Object.fromEntries(simulators.map(({ provider }, n) => [provider, told[n]]));
  const wallet: Movement[] = [];
  const names = plan.buyers.map(({ name }) => name);
  for (let at = 0; at < names.length; at += buyersAtOnce) {
    wallet.push(...(await merchant.movements(names.slice(at, at + buyersAtOnce))));
  }
  // One after the other: a merchant has one export or audit at a time.
  const sold: Evidence['drops'] = [];
  for (const { id, allotment } of drops) {
    sold.push({
      allotment,
      orders: await all(merchant.orders(id)),
      units: (await merchant.report(id)).items[0] as Units,
      audit: withAudit ? await merchant.audit(id) : undefined,
    });
  }
  return {
    plan,
    book,
    price,
    wallet,
    providers: providers as Evidence['providers'],
    drops: sold,
    payments: await database.query<LedgerPayment>(
      `select order_id as "order", reference, provider, state, amount_captured as captured,
         amount_refunded as refunded, looks from payments`,
    ),
    refunds: await database.query(
      'select state, count(*)::int as count from refunds group by state order by state',
    ),
    notifications: await database.query(
      `select provider, count(*)::int as kept, sum(repeats)::int as repeats from notifications
       group by provider order by provider`,
    ),
  };
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}
