import { openAudit } from '../audit/audit.ts';
import { openPaymentAttempts } from '../checkout/attempts.ts';
import { openGifts } from '../checkout/gifts.ts';
import { openProviderNotifications } from '../checkout/notifications.ts';
import { openOrderService } from '../checkout/orders.ts';
import { reportPasswords } from '../checkout/password-reports.ts';
import { openPay } from '../checkout/pay.ts';
import { openRefundService } from '../checkout/refunds.ts';
import { openTopUpService } from '../checkout/topups.ts';
import { systemClock } from '../domain/clock.ts';
import type { Drop } from '../domain/drop.ts';
import type { Order } from '../domain/order.ts';
import { required } from '../domain/required.ts';
import { openActiveDrops } from '../drops/active-drops.ts';
import { openAdjustments } from '../drops/adjustments.ts';
import { openAppointmentService } from '../drops/appointments.ts';
import { openDrafts } from '../drops/drafts.ts';
import { openDropTerms } from '../drops/drop-terms.ts';
import { openEdits } from '../drops/edits.ts';
import { openPublishing } from '../drops/publishing.ts';
import { openReport } from '../drops/report.ts';
import { openTermsLookup } from '../drops/terms-lookup.ts';
import { openRecords } from '../inventory/lane-scan.ts';
import { redisTime } from '../inventory/redis-connections.ts';
import { openReconciliation } from '../reconciliation/reconciliation.ts';
import { openPaymentMetrics } from '../settlement/metrics/payment-metrics.ts';
import { engineStarts } from '../settlement/settle/payment-rules.ts';
import { openSettlement } from '../settlement/settlement.ts';
import type { Background } from './background.ts';
import type { ServiceOptions } from './service-options.ts';

export type Services = ReturnType<typeof openServices>;

/**
 * Wires everything above the stores. It opens no connection and starts nothing, so any role may use it.
 * `start` is for the worker role and starts the background work.
 */
export function openServices(options: ServiceOptions) {
  const { redis, namespace, lanes, ledger, providers, log, timings = {} } = options;
  const { clock = systemClock, metrics, onStep } = options;
  const { drops, orders, payments, accounts } = ledger;
  const redisNow = () => redisTime(redis);
  const counts = openPaymentMetrics(metrics, providers);
  const passwords = reportPasswords(ledger.passwords, { metrics, log });

  const termsOf = openDropTerms({ lanes, drops });
  const lookUpTerms = openTermsLookup({ termsOf, lanes, drops });
  const activeDrops = openActiveDrops({ drops, log });
  const publishing = openPublishing({
    ledgerDrops: drops,
    edits: ledger.dropEdits,
    orders,
    lanes,
    clock,
    log,
    onPublished: activeDrops.refresh,
  });

  const settlement = openSettlement({
    lanes,
    database: ledger.database,
    payments,
    allowances: ledger.allowances,
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

  let opening: Promise<Background> | undefined;
  let background: Background | undefined;

  async function openBackground(): Promise<Background> {
    // Loaded by the worker role alone: BullMQ is a tenth of the engine's memory.
    const loaded = await import('./background.ts');
    return loaded.openBackground(options, {
      publishing,
      activeDrops,
      settlement,
      settleTopUps: topUps.settle,
      termsOf,
      redisNow,
      reconcile,
      clock,
    });
  }

  return {
    createDraft: openDrafts({ drops, clock }),
    publishing,
    editDrop: openEdits({ drops, edits: ledger.dropEdits, publishing, clock }),
    adjustStock: openAdjustments({ drops, lanes, clock }),
    appointments: openAppointmentService({ lanes, appointments: ledger.appointments }),
    report: openReport({
      lanes,
      drops,
      orders,
      ledgerAudit: ledger.audit,
      merchantActions: ledger.merchantActions,
    }),
    settle,
    orders: openOrderService({
      lanes,
      orders,
      payments,
      allowances: ledger.allowances,
      paymentAttempts,
      providers,
      settleOne,
      lookUpTerms,
      redisNow,
      log,
    }),
    pay: openPay({
      lanes,
      payments,
      accounts,
      passwords,
      allowances: ledger.allowances,
      paymentAttempts,
      holdDeferral,
      settleOne,
      termsOf,
      redisNow,
    }),
    passwords,
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
    audit: openAudit({
      lanes,
      orders,
      ledger,
      records,
      onForeignDrift: (accounts) =>
        log.error({ accounts }, 'balances of accounts differ from their transfers'),
    }),
    reconcile,
    /** Whether a method of payment is offered in a currency. */
    takes: (method: string, currency: string, amount?: number) =>
      providers.get(method)?.takes(currency, amount) ?? false,
    /** Whether the buyer has to begin the payment of such an order. */
    awaitsBuyer: (order: Pick<Order, 'method' | 'amount'>, drop: Drop) =>
      !engineStarts({ order, terms: drop }, providers),
    /**
     * The methods of payment that are offered in a currency for one of these amounts, each with its
     * scenes.
     */
    methods(currency: string, amounts: readonly number[]) {
      const offered = [...providers.values()].filter((provider) => {
        return amounts.some((amount) => provider.takes(currency, amount));
      });
      return offered.map(({ name, scenes }) => ({ method: name, scenes: [...scenes] }));
    },
    /** Resolves when the background work runs; waits while Redis or the ledger is down. */
    async start(): Promise<void> {
      opening ??= openBackground();
      background = await opening;
      await background.start();
    },
    /** Finishes the work in flight; the rest is left for the next start. */
    async stop(): Promise<void> {
      const opened = await opening;
      await opened?.stop();
      opening = undefined;
      background = undefined;
    },
    /** The background work that `start` has opened. */
    background: () => required(background, 'background work before start'),
  };
}
