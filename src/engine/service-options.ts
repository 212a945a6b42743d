import type { Redis } from 'ioredis';
import type { Clock } from '../domain/clock.ts';
import type { Lanes } from '../inventory/lanes.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Log } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import type { Providers } from '../payments/provider.ts';
import type { BackgroundTimings } from '../settlement/background.ts';
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
