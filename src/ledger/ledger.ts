import { type Clock, systemClock } from '../domain/clock.ts';
import { type Appointments, openAppointments } from './appointments.ts';
import { type Audit, openAudit } from './checks/audit-queries.ts';
import {
  openReconciliationQueries,
  type ReconciliationQueries,
} from './checks/reconciliation-queries.ts';
import { openReconciliations, type Reconciliations } from './checks/reconciliations.ts';
import type { Database } from './database/database.ts';
import { migrate, migrationMsMax } from './database/migrations.ts';
import { openPglite } from './database/pglite.ts';
import { ledgerErrorOf, untilFit } from './database/postgres-check.ts';
import { type DropEdits, openDropEdits } from './drop-edits.ts';
import { type Drops, openDrops } from './drops.ts';
import { type MerchantActions, openMerchantActions } from './merchant-actions.ts';
import { type Merchants, openMerchants } from './merchants.ts';
import { type Orders, openOrders } from './orders.ts';
import { openParkedChanges, type ParkedChanges } from './parked-changes.ts';
import { type Notifications, openNotifications } from './payments/notifications.ts';
import { openPayments, type Payments } from './payments/payments.ts';
import { type Accounts, openAccounts } from './wallet/accounts.ts';
import { openWalletAllowances, type WalletAllowances } from './wallet/allowances.ts';
import { openWalletPasswords, type WalletPasswords } from './wallet/passwords.ts';
import { openTopUps, type TopUps } from './wallet/topups.ts';

export type Ledger = {
  database: Database;
  merchants: Merchants;
  drops: Drops;
  merchantActions: MerchantActions;
  dropEdits: DropEdits;
  appointments: Appointments;
  orders: Orders;
  parkedChanges: ParkedChanges;
  payments: Payments;
  notifications: Notifications;
  topUps: TopUps;
  accounts: Accounts;
  passwords: WalletPasswords;
  allowances: WalletAllowances;
  audit: Audit;
  reconciliations: Reconciliations;
  reconciliationQueries: ReconciliationQueries;
  close(): Promise<void>;
};

/**
 * Opens the ledger and brings its schema up to date: on the server that `databaseUrl` names, or
 * embedded in `folder`, or in memory when neither is given.
 * @throws LedgerError with one line that says what to do
 */
export async function openLedger(
  options: {
    databaseUrl?: string | undefined;
    folder?: string | undefined;
    clock?: Clock;
    onIdleError?: (error: Error) => void;
    /** Called with a line when the server or a migration makes the start wait. */
    onWait?: ((text: string) => void) | undefined;
  } = {},
): Promise<Ledger> {
  const { databaseUrl, folder, clock = systemClock } = options;
  const database = databaseUrl
    ? await openServer(databaseUrl, options)
    : await openEmbedded(folder === undefined ? {} : { folder }, options.onWait);
  return ledgerOn(database, clock);
}

async function openEmbedded(
  options: { folder?: string },
  onWait: ((text: string) => void) | undefined,
): Promise<Database> {
  const database = await openPglite(options);
  try {
    await migrate(database, undefined, onWait);
    return database;
  } catch (error) {
    await database.close();
    throw error;
  }
}

async function openServer(
  url: string,
  {
    onIdleError = () => {},
    onWait,
  }: { onIdleError?: (error: Error) => void; onWait?: ((text: string) => void) | undefined },
): Promise<Database> {
  // The driver is loaded only where there is a server: it costs 6 MB.
  const { openPostgres } = await import('./database/postgres.ts');
  // A connection of its own: for others, a statement that takes as long as a migration may is lost.
  const answerMsMax = migrationMsMax + 5_000;
  const migrating = openPostgres({ url, onIdleError, connectionsMax: 1, answerMsMax });
  try {
    await untilFit(migrating, { url, onWait });
    await migrate(migrating, undefined, onWait);
  } catch (error) {
    throw ledgerErrorOf(error, url);
  } finally {
    await migrating.close();
  }
  return openPostgres({ url, onIdleError });
}

/** The ledger on a database whose schema is up to date. */
export function ledgerOn(database: Database, clock: Clock = systemClock): Ledger {
  return {
    database,
    merchants: openMerchants(database, clock),
    drops: openDrops(database, clock),
    merchantActions: openMerchantActions(database, clock),
    dropEdits: openDropEdits(database, clock),
    appointments: openAppointments(database, clock),
    orders: openOrders(database),
    parkedChanges: openParkedChanges(database, clock),
    payments: openPayments(database, clock),
    notifications: openNotifications(database, clock),
    topUps: openTopUps(database, clock),
    accounts: openAccounts(database, clock),
    passwords: openWalletPasswords(database, { clock }),
    allowances: openWalletAllowances(database, clock),
    audit: openAudit(database),
    reconciliations: openReconciliations(database, clock),
    reconciliationQueries: openReconciliationQueries(database),
    close: database.close,
  };
}
