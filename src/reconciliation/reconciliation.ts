import { setTimeout as wait } from 'node:timers/promises';
import type { Clock } from '../domain/clock.ts';
import type { TopUpId } from '../domain/ids.ts';
import type { Records } from '../inventory/lane-scan.ts';
import type { Lanes } from '../inventory/lanes.ts';
import type { Place, Places } from '../ledger/checks/reconciliations.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Log } from '../log.ts';
import type { Providers } from '../payments/provider.ts';
import type { Refunds } from '../settlement/settle/refunds.ts';
import type { Settle } from '../settlement/settle/settle.ts';
import { openBillComparison } from './bills.ts';
import { openComparing, type Suspects } from './comparing.ts';
import { type Finding, keyOf } from './differences.ts';
import { openOrderComparison } from './orders.ts';
import { openPaymentComparison } from './payments.ts';
import { openRepairs } from './repairs.ts';
import { type ReconciliationReport, reportOf } from './report.ts';
import { openUnrecordedOrders } from './unrecorded-orders.ts';

export type ReconciliationOptions = {
  lanes: Lanes;
  records: Records;
  ledger: Ledger;
  providers: Providers;
  refunds: Refunds;
  settle: Settle;
  settleTopUps(ids: readonly TopUpId[]): Promise<void>;
  clock: Clock;
  log: Log;
  /** How long to wait before a difference is checked again, ms: a shorter one is only lag. */
  graceMs?: number | undefined;
  /** The most payments, and the most orders, of the window that one run compares. */
  sliceMax?: number;
};

export type Reconcile = (asked?: {
  sinceHours?: number | undefined;
  signal?: AbortSignal;
}) => Promise<ReconciliationReport>;

export const sinceHoursUsual = 48;
const alarmsLoggedMax = 50;

/**
 * Compares the books of the providers, the ledger and the lanes in both directions: everything in a
 * window of time, and everything open whatever its age. Differences found twice are repaired or become
 * alarms. Any number of processes may run it at once.
 */
export function openReconciliation(options: ReconciliationOptions): Reconcile {
  const { ledger, providers, clock, log, graceMs = 5_000, sliceMax = 20_000 } = options;
  const {
    reconciliationQueries: queries,
    reconciliations,
    payments,
    orders,
    drops,
    topUps,
  } = ledger;
  const repair = openRepairs({ ...options, payments, drops });
  const unrecordedOrders = openUnrecordedOrders({ ...options, orders, queries });
  const bills = openBillComparison({ payments, queries });
  const comparing = openComparing({
    bills,
    unrecordedOrders,
    providers,
    comparePayments: openPaymentComparison({ payments, queries, topUps, providers, clock, log }),
    compareOrders: openOrderComparison({ lanes: options.lanes, payments, queries }),
  });

  return async function reconcile({ sinceHours = sinceHoursUsual, signal } = {}) {
    const startedAt = clock.now();
    const since = startedAt - sinceHours * 3_600_000;
    const slices = await sliceOf(since);
    const first = await comparing.first(
      {
        since,
        until: startedAt,
        drops: await drops.active(),
        payments: [...slices.unfinished, ...slices.payments],
        orders: slices.orders,
        charges: slices.charges,
      },
      signal,
    );
    first.notCompared.push(...slices.left);
    const { before, after } = await compareAgain(first.suspects, signal);
    const endedAt = clock.now();
    const report = reportOf({ startedAt, endedAt, since, first, before, after });
    for (const difference of report.differences.filter(isAlarm).slice(0, alarmsLoggedMax)) {
      log.error(difference, 'the books differ: see Reconciliation in docs/operations.md');
    }
    await reconciliations.keep({ endedAt, report, places: slices.places });
    return report;
  };

  /** Compares what differed again after a wait, repairs what still differs, and compares that once more. */
  async function compareAgain(suspects: Suspects, signal: AbortSignal | undefined) {
    const nothing: { before: Finding[]; after: Finding[] } = { before: [], after: [] };
    if (suspects.findings.length === 0) return nothing;
    await wait(graceMs, undefined, signal ? { signal } : {});
    const seen = new Set(suspects.findings.map(keyOf));
    const before = (await comparing.again(suspects)).filter((finding) => seen.has(keyOf(finding)));
    if (before.length === 0) return nothing;
    if (!before.some((finding) => finding.repair)) return { before, after: before };
    await repair(before);
    return { before, after: await comparing.again({ ...suspects, findings: before }) };
  }

  /** The part of the window that this run compares; the next run continues after it. */
  async function sliceOf(since: number) {
    const { places } = await reconciliations.last();
    const [ofPayments, ofOrders, ofCharges] = await Promise.all([
      slice(queries.payments, places.payments),
      slice(queries.orders, places.orders),
      slice(queries.walletCharges, places.charges),
    ]);
    const unfinished = await queries.unfinished({
      since,
      after: places.unfinished,
      limit: sliceMax,
    });
    const next: Places = {
      // The next run begins anew, unless there are more than one run takes.
      unfinished: unfinished.length === sliceMax ? unfinished.at(-1) : undefined,
      payments: ofPayments.next,
      orders: ofOrders.next,
      charges: ofCharges.next,
    };
    const parts = {
      'payments that are not over': { next: next.unfinished },
      payments: ofPayments,
      orders: ofOrders,
      'charges of the wallet': ofCharges,
    };
    const left = Object.entries(parts).flatMap(([what, { next: more }]) => {
      const why = `there are more than ${sliceMax}: the next run goes on with those after them`;
      return more ? [{ what: `some ${what} of the window`, why }] : [];
    });
    return {
      unfinished,
      payments: ofPayments.ids,
      orders: ofOrders.ids,
      charges: ofCharges.ids,
      places: next,
      left,
    };

    async function slice<Id extends string>(
      read: (slice: {
        since: number;
        after: Place<Id> | undefined;
        limit: number;
      }) => Promise<Place<Id>[]>,
      after: Place<Id> | undefined,
    ) {
      const found = await read({ since, after, limit: sliceMax });
      const isFull = found.length === sliceMax;
      // At the end of the window the slice continues at its start, so that each entry gets its turn.
      if (!isFull && after && found.length < sliceMax) {
        const limit = sliceMax - found.length;
        const before = await read({ since, after: undefined, limit });
        const ids = [...new Set([...found, ...before].map(({ id }) => id))];
        return { ids, next: before.length === limit ? before.at(-1) : undefined };
      }
      return { ids: found.map(({ id }) => id), next: isFull ? found.at(-1) : undefined };
    }
  }
}

const isAlarm = ({ done }: { done: string }) => done === 'alarm';
