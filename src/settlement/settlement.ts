import { openBatcher } from '../batching/batcher.ts';
import type { DropId, OrderId } from '../domain/ids.ts';
import type { DropTerms } from '../drops/drop-terms.ts';
import type { Lanes } from '../inventory/lanes.ts';
import type { Database } from '../ledger/database/database.ts';
import type { Payments } from '../ledger/payments/payments.ts';
import type { WalletAllowances } from '../ledger/wallet/allowances.ts';
import type { Log } from '../log.ts';
import type { Providers } from '../payments/provider.ts';
import type { PaymentMetrics } from './metrics/payment-metrics.ts';
import type { Settled } from './settle/batch.ts';
import { openChargeInLedger } from './settle/charge-in-ledger.ts';
import { openHoldDeferral } from './settle/hold-deferral.ts';
import { openProviderCalls } from './settle/provider-calls.ts';
import { openRefunds } from './settle/refunds.ts';
import { openSettle } from './settle/settle.ts';
import type { OnStep } from './steps.ts';

const settleLimits = { batchMax: 250, inFlightMax: 2, queueMax: 10_000 };

export type Settlement = ReturnType<typeof openSettlement>;

/** Settles orders and refunds payments, in every role. Opens no connection and starts no interval. */
export function openSettlement(options: {
  lanes: Lanes;
  database: Database;
  payments: Payments;
  allowances: Pick<WalletAllowances, 'allow'>;
  providers: Providers;
  counts: PaymentMetrics;
  termsOf(drop: DropId): Promise<DropTerms | undefined>;
  /** Redis' clock, ms since the epoch. */
  redisNow(): Promise<number>;
  log: Log;
  /** How long after its end a hold waits for its open payment to be closed, ms. */
  closingGraceMs?: number | undefined;
  onStep?: OnStep | undefined;
}) {
  const {
    lanes,
    database,
    payments,
    allowances,
    providers,
    counts,
    termsOf,
    redisNow,
    log,
    onStep,
  } = options;
  const refunds = openRefunds({
    lanes,
    payments,
    providers,
    log,
    onRefund: counts.refund,
    onStep,
  });
  const holdDeferral = openHoldDeferral({
    lanes,
    payments,
    providers,
    log,
    graceMs: options.closingGraceMs,
  });
  const settle = openSettle({
    lanes,
    payments,
    allowances,
    providers,
    refunds,
    holdDeferral,
    termsOf,
    redisNow,
    log,
    onStep,
    chargeInLedger: openChargeInLedger({ database, payments, providers }),
    callProviders: openProviderCalls({
      providers,
      log,
      onUnknown: counts.unknown,
      onUnclosed: holdDeferral.unclosed,
    }),
    onPayment: counts.payment,
  });
  // Orders that requests of buyers settle at the same time share their statements.
  const { add: settleOne } = openBatcher<OrderId, Settled>({ run: settle, ...settleLimits });
  return { settle, settleOne, refunds, holdDeferral };
}
