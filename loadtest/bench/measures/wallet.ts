import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type MerchantId, newDropId, newMerchantId, orderId } from '../../../src/domain/ids.ts';
import { rolledBackIfUndefined } from '../../../src/ledger/database/database.ts';
import { type Ledger, openLedger } from '../../../src/ledger/ledger.ts';
import type { PaymentResult } from '../../../src/ledger/payments/results.ts';
import type { Payment, PaymentStart } from '../../../src/ledger/payments/row.ts';
import { openAccounts } from '../../../src/ledger/wallet/accounts.ts';
import type { Charge, Outcome } from '../../../src/payments/provider.ts';
import { openWallet } from '../../../src/payments/wallet/wallet.ts';
import { postgresMissing, startPostgres } from '../../postgres.ts';
import { benchBuyer } from '../support/drop.ts';
import { type Figure, type LeftOut, type Measured, median } from '../support/figures.ts';

const clients = 8;
/** As many orders as the settlement's worker charges at once. */
const batch = 256;
const chargesMax = 8_192;
/** Without batches a charge costs many times as much, so fewer charges are enough. */
const naiveCharges = 512;
const buyers = clients * batch;
const currency = 'CNY';
const price = 199_900;

type Way = {
  charges: number;
  batch: number;
  /** All clients charge for one merchant, or each for its own. */
  merchants: number;
  /** Rows of a merchant's account; the engine's number by default. */
  slots?: number;
};

/** `naive`: a commit for each charge, all on one row. */
const ways = {
  engine: { charges: chargesMax, batch, merchants: 1 },
  apart: { charges: chargesMax, batch, merchants: clients },
  oneRow: { charges: chargesMax, batch, merchants: 1, slots: 1 },
  naive: { charges: naiveCharges, batch: 1, merchants: 1, slots: 1 },
} satisfies Record<string, Way>;

type WayName = keyof typeof ways;
type Rates<Name extends WayName = WayName> = Record<Name, number>;

/**
 * Charges of wallets a second, each with its payment, its transfer and its entry in the wallet's
 * book, committed, as the engine writes them: `clients` at once, all for one merchant.
 */
export async function measureWallet(rounds: number): Promise<Measured[]> {
  const folder = mkdtempSync(join(tmpdir(), 'flashdrop-bench-wallet-'));
  try {
    const embedded = await onLedger({ folder }, rounds, ['engine', 'naive']);
    return [...figuresOf('pglite', embedded), ...(await onServer(rounds))];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function onServer(rounds: number): Promise<Measured[]> {
  const reason = postgresMissing();
  if (reason !== undefined) return [{ name: 'wallet_postgres_per_second', reason, budget: false }];
  const postgres = await startPostgres();
  try {
    const turns = await onLedger({ databaseUrl: postgres.url }, rounds, [
      ...(['engine', 'apart', 'oneRow', 'naive'] as const),
    ]);
    const ratio = (other: 'apart' | 'oneRow') =>
      median(turns.map((turn) => turn.engine / turn[other]));
    return [
      ...figuresOf('postgres', turns),
      {
        name: 'wallet_hot_ratio',
        value: ratio('apart'),
        unit: 'x',
        how: `on PostgreSQL, one merchant for all ${clients} ÷ a merchant for each`,
      },
      {
        name: 'wallet_slots_ratio',
        value: ratio('oneRow'),
        unit: 'x',
        how: "on PostgreSQL, a merchant's account in slots ÷ in one row",
      },
    ];
  } finally {
    await postgres.stop();
  }
}

function figuresOf(
  kind: Ledger['database']['kind'],
  turns: Rates<'engine' | 'naive'>[],
): (Figure | LeftOut)[] {
  const database = kind === 'pglite' ? 'PGlite in a folder' : "PostgreSQL's defaults";
  return [
    {
      name: `wallet_${kind}_per_second`,
      value: median(turns.map(({ engine }) => engine)),
      unit: '/s',
      how: `charges for one merchant, ${clients} at once in batches of ${batch}, ${database}`,
    },
    {
      name: `wallet_${kind}_ratio`,
      value: median(turns.map(({ engine, naive }) => engine / naive)),
      unit: 'x',
      how: "the same ÷ a transaction for each charge on one row of the merchant's account",
    },
  ];
}

/** All ways in turn, round by round, so that other work of the machine affects all. */
async function onLedger<Name extends WayName>(
  where: { databaseUrl: string } | { folder: string },
  rounds: number,
  names: readonly Name[],
): Promise<Rates<Name>[]> {
  const ledger = await openLedger(where);
  const turns: Rates<Name>[] = [];
  try {
    await fund(ledger);
    for (let round = 0; round <= rounds; round += 1) {
      const turn = {} as Rates<Name>;
      for (const name of names) turn[name] = await chargesPerSecond(ledger, ways[name]);
      // The first opens accounts and warms up.
      if (round > 0) turns.push(turn);
    }
    const { sum, drifted } = await ledger.accounts.trialBalance();
    if (sum !== 0 || drifted.length > 0) throw new Error('the books of the bench do not balance');
    return turns;
  } finally {
    await ledger.close();
  }
}

/** Enough buyers that no two concurrent batches share one, with money for every round. */
async function fund(ledger: Ledger): Promise<void> {
  for (let from = 0; from < buyers; from += batch) {
    await ledger.accounts.topUpAll(
      Array.from({ length: batch }, (_, n) => {
        const buyer = benchBuyer(from + n);
        return { buyer, currency, amount: 1e12, reference: `bench:${buyer}` };
      }),
    );
  }
}

async function chargesPerSecond(ledger: Ledger, way: Way): Promise<number> {
  const { database, payments } = ledger;
  const accounts = openAccounts(database, undefined, way);
  const wallet = openWallet({ database, accounts });
  const drop = newDropId();
  const merchants = Array.from({ length: way.merchants }, () => newMerchantId());
  let next = 0;

  async function client(_: unknown, number: number): Promise<void> {
    const merchantId = merchants[number % merchants.length] as MerchantId;
    while (next < way.charges) {
      const from = next;
      next += way.batch;
      const starts = Array.from({ length: way.batch }, (_, n): PaymentStart => {
        const digest = String(from + n).padStart(22, 'A');
        const id = orderId({ drop, lane: 0, digest });
        return { orderId: id, drop, provider: wallet.name, amount: price, currency };
      });
      const prepared = payments.prepare(starts);
      const charges = prepared.map((payment, n) => {
        return chargeOf(payment, { merchantId, buyer: benchBuyer((from + n) % buyers) });
      });
      const begun = await rolledBackIfUndefined(database, async (query) => {
        const outcomes = await wallet.startWithin?.(query, charges);
        return outcomes && (await payments.insertCharged(query, prepared, outcomes.map(factOf)));
      });
      const captured = begun?.every(({ state }) => state === 'captured');
      if (!captured) throw new Error('a wallet of the bench was not charged');
    }
  }

  const started = performance.now();
  await Promise.all(Array.from({ length: clients }, client));
  return way.charges / ((performance.now() - started) / 1_000);
}

function chargeOf(payment: Payment, of: { merchantId: MerchantId; buyer: string }): Charge {
  const { reference, orderId, amount, currency, startedAt } = payment;
  return {
    reference,
    orderId,
    amount,
    currency,
    startedAt,
    ...of,
    title: '',
    expiresAt: Number.MAX_SAFE_INTEGER,
    wish: {},
  };
}

function factOf({ reference, kind }: Outcome): PaymentResult {
  return { reference, state: kind === 'captured' ? kind : 'declined', amount: price };
}
