import type { Clock } from '../domain/clock.ts';
import type { Catalog } from '../inventory/catalog.ts';
import type { Intake } from '../inventory/intake.ts';
import type { Lanes } from '../inventory/lanes.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Logger } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import type { AppointmentDesk } from '../settlement/appointments.ts';
import type { Audit } from '../settlement/audit/audit.ts';
import type { Notices } from '../settlement/notices.ts';
import type { OrderDesk } from '../settlement/orders.ts';
import type { Pay } from '../settlement/paying.ts';
import type { Publishing } from '../settlement/publishing.ts';
import type { Reconcile } from '../settlement/reconciliation/reconciliation.ts';
import type { RefundDesk } from '../settlement/refund-desk.ts';
import type { Report } from '../settlement/report.ts';
import type { TopUpDesk } from '../settlement/topups.ts';
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
  settlement: {
    orders: OrderDesk;
    appointments: AppointmentDesk;
    publishing: Pick<Publishing, 'act'>;
    /** Undefined when there is no such drop. */
    audit: Audit;
    reconcile: Reconcile;
    report(drop: string): Promise<Report | undefined>;
    refunds: RefundDesk;
    pay: Pay;
    topUps: Pick<TopUpDesk, 'start' | 'find'>;
    notices: Notices;
    methods(currency: string): { method: string; scenes: string[] }[];
  };
  tokens: TokenRules;
  /** Whoever has it runs the engine; without one there are no routes for operators. */
  operatorKey?: string | undefined;
  /** Each resolves when the part answers and rejects when it does not. */
  health: { redis(): Promise<unknown>; ledger(): Promise<unknown> };
  settings: AppSettings;
};
