import type { Redis } from 'ioredis';
import { type Clock, systemClock } from '../domain/clock.ts';
import type { Lanes } from '../inventory/lanes.ts';
import { openRecords } from '../inventory/records.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Metrics } from '../metrics.ts';
import type { PaymentProvider } from '../payments/provider.ts';
import { openAppointmentDesk } from './appointments.ts';
import { openAudit } from './audit/audit.ts';
import type { Log } from './log.ts';
import { openOrderDesk } from './orders.ts';
import { openPublishing } from './publishing.ts';
import { openRefunds } from './refunds.ts';
import { openReport } from './report.ts';
import type { OnStep } from './steps.ts';
import { openTerms } from './terms.ts';
import { openWatch } from './watch.ts';
import { openSettlementWork, type SettlementWork } from './work.ts';

/** How soon work counts as left behind, in ms. The defaults suit a server; tests are in a hurry. */
export type Patience = {
  claimIdleMs?: number;
  lockDurationMs?: number;
  stalledIntervalMs?: number;
  redriveEveryMs?: number;
  redriveStaleMs?: number;
};

export type SettlementOptions = {
  redisUrl: string;
  /** The hot connection that the lanes use. */
  redis: Redis;
  namespace: string;
  lanes: Lanes;
  ledger: Ledger;
  providers: ReadonlyMap<string, PaymentProvider>;
  log: Log;
  clock?: Clock;
  metrics?: Metrics;
  patience?: Patience;
  onStep?: OnStep;
};

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
  const termsOf = openTerms({ lanes, drops });
  const refunds = openRefunds({ lanes, payments, providers, log, ...steps });
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
    orders: openOrderDesk({ lanes, drops, orders, payments, refunds, termsOf }),
    audit: openAudit({ lanes, orders, ledger, records: openRecords(redis, namespace) }),
    report: openReport({ lanes, drops, orders, ledgerAudit }),
    /** Resolves when the parts run; they wait out a Redis or a ledger that is away. */
    async start(): Promise<void> {
      work ??= openSettlementWork(options, { publishing, refunds, termsOf, watch });
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
