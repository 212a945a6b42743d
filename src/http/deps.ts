import type { Audit } from '../audit/audit.ts';
import type { ProviderNotifications } from '../checkout/notifications.ts';
import type { OrderService } from '../checkout/orders.ts';
import type { Pay } from '../checkout/pay.ts';
import type { RefundService } from '../checkout/refunds.ts';
import type { TopUpService } from '../checkout/topups.ts';
import type { Clock } from '../domain/clock.ts';
import type { AdjustStock } from '../drops/adjustments.ts';
import type { AppointmentService } from '../drops/appointments.ts';
import type { CreateDraft } from '../drops/drafts.ts';
import type { Publishing } from '../drops/publishing.ts';
import type { Report } from '../drops/report.ts';
import type { Catalog } from '../inventory/catalog.ts';
import type { Intake } from '../inventory/intake.ts';
import type { Lanes } from '../inventory/lanes.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Logger } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import type { Reconcile } from '../reconciliation/reconciliation.ts';
import type { TokenRules } from './auth/buyers.ts';

export type AppSettings = {
  /** Mints buyer tokens and tops wallets up for whoever asks. */
  demo: boolean;
  /** False for a process that serves its operators alone. */
  buying?: boolean;
  /** Whose X-Forwarded-* headers are believed; nobody's unless named. */
  trustProxy?: boolean | string | string[];
  bodyBytesMax?: number;
  /** A request that has not arrived whole by then is closed. */
  requestTimeoutMs?: number;
  headersTimeoutMs?: number;
  keepAliveMs?: number;
  /** Buys that one buyer may send in ten seconds, replays included. */
  buysPerBuyerMax?: number;
  /** A turn of the event loop that takes requests for longer refuses the Buys that are left. */
  turnMsMax?: number;
  /** Connections open at once in this process; those beyond are closed. */
  connectionsMax?: number;
  /** Live streams open at once in this process. */
  streamsMax?: number;
};

export type AppDeps = {
  log: Logger;
  clock: Clock;
  metrics: Metrics;
  intake: Intake;
  catalog: Catalog;
  lanes: Lanes;
  ledger: Pick<Ledger, 'merchants' | 'drops' | 'orders' | 'accounts' | 'passwords'>;
  services: {
    orders: OrderService;
    appointments: AppointmentService;
    createDraft: CreateDraft;
    publishing: Pick<Publishing, 'act'>;
    adjustStock: AdjustStock;
    /** Undefined when there is no such drop. */
    audit: Audit;
    reconcile: Reconcile;
    report(drop: string): Promise<Report | undefined>;
    refunds: RefundService;
    pay: Pay;
    topUps: Pick<TopUpService, 'start' | 'find'>;
    notifications: ProviderNotifications;
    methods(currency: string): { method: string; scenes: string[] }[];
  };
  tokens: TokenRules;
  /** Whoever has it runs the engine; without one there are no routes for operators. */
  operatorKey?: string | undefined;
  /** Each resolves when the part answers and rejects when it does not. */
  health: { redis(): Promise<unknown>; ledger(): Promise<unknown> };
  settings: AppSettings;
};
