import type { Clock } from '../domain/clock.ts';
import type { Drop, DropAction } from '../domain/drop.ts';
import type { Order } from '../domain/order.ts';
import type { Catalog } from '../inventory/catalog.ts';
import type { Intake } from '../inventory/intake.ts';
import type { Lanes } from '../inventory/lanes.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Logger } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import type { Audit } from '../settlement/audit/audit.ts';
import type { Report } from '../settlement/report.ts';
import type { TokenRules } from './auth/buyers.ts';

/** An order with what the ledger adds to the lane's record; times in ms since the epoch. */
export type OrderView = Order & {
  sku: string;
  currency: string;
  reservedAt?: number | undefined;
  paidAt?: number | undefined;
  releasedAt?: number | undefined;
  refundedAt?: number | undefined;
  payment?: { provider: string; state: string; reason?: string | undefined } | undefined;
};

/** What the routes ask of orders. */
export type OrderDesk = {
  read(id: string): Promise<OrderView | undefined>;
  cancel(
    id: string,
  ): Promise<{ kind: 'released' | 'already' | 'refused'; order: Order } | { kind: 'unknown' }>;
  refund(
    id: string,
  ): Promise<{ kind: 'refunded' | 'already' | 'refused'; order: Order } | { kind: 'unknown' }>;
};

/** What the routes ask of the life of drops. */
export type Publishing = {
  act(request: {
    merchantId: string;
    drop: string;
    action: DropAction;
  }): Promise<
    | { kind: 'done'; drop: Drop }
    | { kind: 'refused'; drop: Drop }
    | { kind: 'unknown' }
    | { kind: 'frozen' }
  >;
};

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
  ledger: Pick<Ledger, 'merchants' | 'drops' | 'orders' | 'accounts'>;
  settlement: {
    orders: OrderDesk;
    publishing: Publishing;
    /** Undefined when there is no such drop. */
    audit: Audit;
    report(drop: string): Promise<Report | undefined>;
  };
  tokens: TokenRules;
  /** Each resolves when the part answers and rejects when it does not. */
  health: { redis(): Promise<unknown>; ledger(): Promise<unknown> };
  settings: AppSettings;
};
