import type { Audit } from '../audit/audit.ts';
import type { Gifts } from '../checkout/gifts.ts';
import type { ProviderNotifications } from '../checkout/notifications.ts';
import type { OrderService } from '../checkout/orders.ts';
import type { Pay } from '../checkout/pay.ts';
import type { RefundService } from '../checkout/refunds.ts';
import type { TopUpService } from '../checkout/topups.ts';
import type { Clock } from '../domain/clock.ts';
import type { DropId } from '../domain/ids.ts';
import type { AdjustStock } from '../drops/adjustments.ts';
import type { AppointmentService } from '../drops/appointments.ts';
import type { CreateDraft } from '../drops/drafts.ts';
import type { EditDrop } from '../drops/edits.ts';
import type { Publishing } from '../drops/publishing.ts';
import type { Report } from '../drops/report.ts';
import type { Catalog } from '../inventory/catalog.ts';
import type { Intake } from '../inventory/intake.ts';
import type { Lanes } from '../inventory/lanes.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { WalletPasswords } from '../ledger/wallet/passwords.ts';
import type { Logger } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import type { Reconcile } from '../reconciliation/reconciliation.ts';
import type { TokenRules } from './auth/buyers.ts';
import type { BudgetLimits } from './limits/budgets.ts';
import type { Exclusive } from './limits/exclusive.ts';
import type { SharedUsage } from './limits/shared-usage.ts';
import type { Health } from './ops/readiness.ts';
import type { ServerSettings } from './server/fastify.ts';

export type AppSettings = ServerSettings & {
  /** Mints buyer tokens and adds free money to wallets for anybody who asks. */
  demo: boolean;
  /** False for a process that serves operators only. */
  buying?: boolean;
  /** Origins and schemes of apps that buyers may be sent back to after paying; none unless named. */
  allowedOrigins?: string[];
  allowedSchemes?: string[];
  /** What callers may spend, where it is not the default. */
  budgets?: Partial<BudgetLimits>;
  /** Live streams open at once in this process. */
  streamsMax?: number;
};

/** What the app is built from. Each route gets its own part of it: see routing.ts. */
export type AppDeps = {
  log: Logger;
  clock: Clock;
  metrics: Metrics;
  intake: Intake;
  catalog: Catalog;
  lanes: Lanes;
  ledger: Pick<
    Ledger,
    'merchants' | 'merchantActions' | 'drops' | 'orders' | 'accounts' | 'appointments'
  >;
  services: {
    orders: OrderService;
    appointments: AppointmentService;
    createDraft: CreateDraft;
    editDrop: EditDrop;
    publishing: Pick<Publishing, 'act'>;
    adjustStock: AdjustStock;
    audit: Audit;
    reconcile: Reconcile;
    /** Undefined when there is no such drop. */
    report(drop: DropId): Promise<Report | undefined>;
    refunds: RefundService;
    pay: Pay;
    passwords: Pick<WalletPasswords, 'state' | 'set'>;
    topUps: Pick<TopUpService, 'start' | 'find'>;
    gifts: Gifts;
    notifications: ProviderNotifications;
    /** Whether a method of payment is offered in a currency. */
    takes(method: string, currency: string, amount?: number): boolean;
    methods(currency: string, amounts: readonly number[]): { method: string; scenes: string[] }[];
  };
  tokens: TokenRules;
  /** Whoever sends it operates the engine; without one there are no routes for operators. */
  operatorKey?: string | undefined;
  health: Health;
  /** What the processes of this engine tell each other of their callers; undefined for one alone. */
  usage?: SharedUsage | undefined;
  exclusive: Exclusive;
  settings: AppSettings;
};
