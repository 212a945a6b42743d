import type { Redis } from 'ioredis';
import { openAudit } from '../audit/audit.ts';
import { gather } from '../batching/batcher.ts';
import { openCheckout } from '../checkout/attempts.ts';
import { openNotices } from '../checkout/notifications.ts';
import { openOrderDesk } from '../checkout/orders.ts';
import { openPaying } from '../checkout/pay.ts';
import { openRefundDesk } from '../checkout/refunds.ts';
import { openTopUpDesk } from '../checkout/topups.ts';
import { type Clock, systemClock } from '../domain/clock.ts';
import { openWatch } from '../drops/active-drops.ts';
import { openAppointmentDesk } from '../drops/appointments.ts';
import { openTerms } from '../drops/drop-terms.ts';
import { openPublishing } from '../drops/publishing.ts';
import { openReport } from '../drops/report.ts';
import { openRecords } from '../inventory/lane-scan.ts';
import type { Lanes } from '../inventory/lanes.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Metrics } from '../metrics.ts';
import { openReconciliation } from '../reconciliation/reconciliation.ts';
import { openSettlementWork, redisTime, type SettlementWork } from './background.ts';
import type { Log } from './log.ts';
import { countPayments } from './metrics/payment-metrics.ts';
import type { Settled } from './settle/batch.ts';
import { openAtOnce } from './settle/charge-in-ledger.ts';
import type { Providers } from './settle/payment-rules.ts';
import { openCharging } from './settle/provider-calls.ts';
import { openRefunds } from './settle/refunds.ts';
import { openSettle } from './settle/settle.ts';
import type { OnStep } from './steps.ts';

/** How soon work counts as left behind, in ms. The defaults suit a server; tests are in a hurry. */
export type Patience = {
  claimIdleMs?: number;
  lockDurationMs?: number;
  stalledIntervalMs?: number;
  redriveEveryMs?: number;
  redriveStaleMs?: number;
  looksEveryMs?: number;
  lookFirstMs?: number;
  /** How long a difference between the books may be news on its way. */
  differenceGraceMs?: number;
};

export type SettlementOptions = {
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
  patience?: Patience;
  /** How often a worker compares the books; never when absent. */
  reconcileEveryMs?: number;
  onStep?: OnStep;
};

const settleLimits = { batchMax: 250, flightsMax: 2, queueMax: 10_000 };

export type Settlement = ReturnType<typeof openSettlement>;

/**
 * Settlement as a whole. Acting on drops and orders and looking at them is for every role and
 * opens no connection; `start` is for the worker role and adds what works behind the sale.
 */
export function openSettlement(options: SettlementOptions) {
  const { redis, namespace, lanes, ledger, providers, log } = options;
  const { clock = systemClock, onStep } = options;
  const { drops, orders, payments, audit: ledgerAudit } = ledger;
  const steps = onStep ? { onStep } : {};
  const counts = countPayments(options.metrics);
  const redisNow = () => redisTime(redis);
  const termsOf = openTerms({ lanes, drops });
  const refunds = openRefunds({
    ...{ lanes, payments, providers, log, onRefund: counts.refund, ...steps },
  });
  const settle = openSettle({
    ...{ lanes, payments, providers, refunds, termsOf, redisNow, log, ...steps },
    atOnce: openAtOnce({ payments, providers }),
    charging: openCharging({ providers, log, onUnknown: counts.unknown }),
    onPayment: counts.payment,
  });
  // What buyers settle from a request: those of one moment share their statements.
  const { add: settleOne } = gather<string, Settled>({ run: settle, ...settleLimits });
  const { lookFirstMs } = options.patience ?? {};
  const checkout = openCheckout({
    ...{ payments, providers, log, ...(lookFirstMs === undefined ? {} : { lookFirstMs }) },
  });
  const topUps = openTopUpDesk({
    ...{ topUps: ledger.topUps, payments, accounts: ledger.accounts, checkout, providers },
    ...{ counts, clock, log },
  });
  const records = openRecords(redis, namespace);
  const { differenceGraceMs: graceMs } = options.patience ?? {};
  const reconcile = openReconciliation({
    ...{ lanes, records, ledger, providers, refunds, settle, settleTopUps: topUps.settle },
    ...{ clock, log, ...(graceMs === undefined ? {} : { graceMs }) },
  });
  const watch = openWatch({ drops, log });
  const publishing = openPublishing({
    ...{ ledgerDrops: drops, orders, lanes, clock, log },
    onPublished: watch.wake,
  });
  let work: SettlementWork | undefined;

  /** Quiet and drained: what is in hand is finished, the rest is left for the next start. */
  async function stop(): Promise<void> {
    await work?.stop();
    work = undefined;
  }

  return {
    publishing,
    appointments: openAppointmentDesk({ lanes, appointments: ledger.appointments }),
    orders: openOrderDesk({
      ...{ lanes, orders, payments, checkout, providers },
      ...{ settleOne, termsOf, redisNow, log },
    }),
    refunds: openRefundDesk({ lanes, drops, payments, refunds }),
    pay: openPaying({
      ...{ lanes, payments, accounts: ledger.accounts, passwords: ledger.passwords },
      ...{ checkout, settleOne, termsOf, redisNow },
    }),
    topUps,
    settle,
    notices: openNotices({ notifications: ledger.notifications, providers, counts, clock, log }),
    /** Whether a method of payment is offered in a currency. */
    takes: (method: string, currency: string) => providers.get(method)?.takes(currency) ?? false,
    /** The methods of payment that are offered in a currency, each with its scenes. */
    methods(currency: string) {
      const offered = [...providers.values()].filter((provider) => provider.takes(currency));
      return offered.map(({ name, scenes }) => ({ method: name, scenes: [...scenes] }));
    },
    audit: openAudit({ lanes, orders, ledger, records }),
    reconcile,
    report: openReport({ lanes, drops, orders, ledgerAudit }),
    /** Resolves when the parts run; they wait out a Redis or a ledger that is away. */
    async start(): Promise<void> {
      work ??= openSettlementWork(options, {
        ...{ publishing, refunds, settle, settleTopUps: topUps.settle, termsOf, watch, reconcile },
      });
      await work.start();
    },
    stop,
    /** The parts that `start` has made. */
    work(): SettlementWork {
      if (!work) throw new Error('bug: the settlement is not started');
      return work;
    },
  };
}
