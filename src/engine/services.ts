import type { Redis } from 'ioredis';
import { openAudit } from '../audit/audit.ts';
import { openPaymentAttempts } from '../checkout/attempts.ts';
import { openGifts } from '../checkout/gifts.ts';
import { openProviderNotifications } from '../checkout/notifications.ts';
import { openOrderService } from '../checkout/orders.ts';
import { openPay } from '../checkout/pay.ts';
import { openRefundService } from '../checkout/refunds.ts';
import { openTopUpService } from '../checkout/topups.ts';
import { type Clock, systemClock } from '../domain/clock.ts';
import { openActiveDrops } from '../drops/active-drops.ts';
import { openAdjustments } from '../drops/adjustments.ts';
import { openAppointmentService } from '../drops/appointments.ts';
import { openDrafts } from '../drops/drafts.ts';
import { openDropTerms } from '../drops/drop-terms.ts';
import { openPublishing } from '../drops/publishing.ts';
import { openReport } from '../drops/report.ts';
import { openRecords } from '../inventory/lane-scan.ts';
import type { Lanes } from '../inventory/lanes.ts';
import { redisTime } from '../inventory/redis-connections.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Log } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import type { Providers } from '../payments/provider.ts';
import { openReconciliationMetrics } from '../reconciliation/metrics.ts';
import { openReconciliation } from '../reconciliation/reconciliation.ts';
import { openSchedule } from '../reconciliation/schedule.ts';
import { type BackgroundTimings, openSettlementBackground } from '../settlement/background.ts';
import { openPaymentMetrics } from '../settlement/metrics/payment-metrics.ts';
import { openSettlement } from '../settlement/settlement.ts';
import type { OnStep } from '../settlement/steps.ts';

/** Intervals and patience in ms. The defaults suit a server; tests use shorter ones. */
export type Timings = BackgroundTimings & {
  /** How soon after its beginning a payment is first asked about. */
  pollFirstMs?: number | undefined;
  /** How long after its end a hold waits for its open payment to be closed. */
  closingGraceMs?: number | undefined;
  /** For how long a difference between the books may be an entry that is still on its way. */
  differenceGraceMs?: number | undefined;
};

export type ServiceOptions = {
  redisUrl: string;
  /** The hot connection that the lanes use. */
  redis: Redis;
  namespace: string;
  lanes: Lanes;
  ledger: Ledger;
  providers: Providers;
  log: Log;
  clock?: Clock;
  metrics?: Metrics;
  timings?: Timings;
  /** How often the worker role compares the books; never when absent. */
  reconcileEveryMs?: number | undefined;
  onStep?: OnStep | undefined;
};

export type Services = ReturnType<typeof openServices>;

type Background = ReturnType<typeof openBackground>;

/**
 * Everything above the stores, wired by hand. Opening it opens no connection and starts nothing: any
 * role may use it. `start` is for the worker role and adds what runs behind the sale.
 */
export function openServices(options: ServiceOptions) {
  const { redis, namespace, lanes, ledger, providers, log, timings = {} } = options;
  const { clock = systemClock, metrics, onStep } = options;
  const { drops, orders, payments, accounts, passwords } = ledger;
  const redisNow = () => redisTime(redis);
  const counts = openPaymentMetrics(metrics);

  const termsOf = openDropTerms({ lanes, drops });
  const activeDrops = openActiveDrops({ drops, log });
  const publishing = openPublishing({
    ledgerDrops: drops,
    orders,
    lanes,
    clock,
    log,
    onPublished: activeDrops.refresh,
  });

  const settlement = openSettlement({
    lanes,
    payments,
    providers,
    counts,
    termsOf,
    redisNow,
    log,
    closingGraceMs: timings.closingGraceMs,
    onStep,
  });
  const { settle, settleOne, refunds, holdDeferral } = settlement;

  const paymentAttempts = openPaymentAttempts({
    payments,
    providers,
    log,
    pollFirstMs: timings.pollFirstMs,
  });
  const topUps = openTopUpService({
    topUps: ledger.topUps,
    payments,
    accounts,
    paymentAttempts,
    providers,
    counts,
    clock,
    log,
  });

  const records = openRecords(redis, namespace);
  const reconcile = openReconciliation({
    lanes,
    records,
    ledger,
    providers,
    refunds,
    settle,
    settleTopUps: topUps.settle,
    clock,
    log,
    graceMs: timings.differenceGraceMs,
  });

  let background: Background | undefined;

  return {
    createDraft: openDrafts({ drops, clock }),
    publishing,
    adjustStock: openAdjustments({ drops, lanes, clock }),
    appointments: openAppointmentService({ lanes, appointments: ledger.appointments }),
    report: openReport({ lanes, drops, orders, ledgerAudit: ledger.audit }),
    settle,
    orders: openOrderService({
      lanes,
      orders,
      payments,
      paymentAttempts,
      providers,
      settleOne,
      termsOf,
      redisNow,
      log,
    }),
    pay: openPay({
      lanes,
      payments,
      accounts,
      passwords,
      paymentAttempts,
      holdDeferral,
      settleOne,
      termsOf,
      redisNow,
    }),
    topUps,
    gifts: openGifts({ accounts }),
    refunds: openRefundService({ lanes, drops, payments, refunds }),
    notifications: openProviderNotifications({
      notifications: ledger.notifications,
      providers,
      counts,
      clock,
      log,
    }),
    audit: openAudit({ lanes, orders, ledger, records }),
    reconcile,
    /** Whether a method of payment is offered in a currency. */
    takes: (method: string, currency: string) => providers.get(method)?.takes(currency) ?? false,
    /** The methods of payment that are offered in a currency, each with its scenes. */
    methods(currency: string) {
      const offered = [...providers.values()].filter((provider) => provider.takes(currency));
      return offered.map(({ name, scenes }) => ({ method: name, scenes: [...scenes] }));
    },
    /** Resolves when the background work runs; it waits out a Redis or a ledger that is away. */
    async start(): Promise<void> {
      background ??= openBackground(options, {
        publishing,
        activeDrops,
        settlement,
        settleTopUps: topUps.settle,
        termsOf,
        redisNow,
        reconcile,
        clock,
      });
      await background.start();
    },
    /** Finishes what is in hand; the rest is left for the next start. */
    async stop(): Promise<void> {
      await background?.stop();
      background = undefined;
    },
    /** What `start` has made. */
    background(): Background {
      if (!background) throw new Error('bug: the background work is not started');
      return background;
    },
  };
}

/** What the worker role runs: settlement behind the sale, and the comparison of the books. */
function openBackground(
  { redisUrl, namespace, lanes, ledger, providers, log, ...options }: ServiceOptions,
  shared: Pick<
    Parameters<typeof openSettlementBackground>[0],
    'publishing' | 'activeDrops' | 'settlement' | 'settleTopUps' | 'termsOf' | 'redisNow' | 'clock'
  > & { reconcile: ReturnType<typeof openReconciliation> },
) {
  const { metrics, timings = {}, reconcileEveryMs: everyMs, onStep } = options;
  const { reconciliations } = ledger;
  const { reconcile, ...parts } = shared;
  const settlement = openSettlementBackground({
    redisUrl,
    namespace,
    lanes,
    ledger,
    providers,
    log,
    metrics,
    timings,
    onStep,
    ...parts,
  });
  const { onRun } = openReconciliationMetrics(metrics, reconciliations);
  const schedule =
    everyMs === undefined
      ? undefined
      : openSchedule({ reconcile, reconciliations, everyMs, log, onRun });
  return {
    ...settlement,
    schedule,
    async start(): Promise<void> {
      await settlement.start();
      schedule?.start();
    },
    async stop(): Promise<void> {
      await Promise.all([schedule?.stop(), settlement.stop()]);
    },
  };
}
