import type { Redis } from 'ioredis';
import type { Clock } from '../domain/clock.ts';
import type { Lanes } from '../inventory/lanes.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Log } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import type { Providers } from '../payments/provider.ts';
import type { BackgroundTimings } from '../settlement/background.ts';
import type { OnStep } from '../settlement/steps.ts';

/** Intervals and waits in ms. The defaults are for servers; tests use shorter ones. */
export type Timings = BackgroundTimings & {
  /** How long after its start a payment is first polled. */
  pollFirstMs?: number | undefined;
  /** How long after its expiry a hold waits for its open payment to be closed. */
  closingGraceMs?: number | undefined;
  /** How old a difference must be to count; a younger one may be an entry not relayed yet. */
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
  metrics?: Metrics | undefined;
  timings?: Timings;
  /** Interval at which the worker role reconciles the books; never when undefined. */
  reconcileEveryMs?: number | undefined;
  onStep?: OnStep | undefined;
};
