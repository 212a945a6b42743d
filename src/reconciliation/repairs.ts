import {
  type DropId,
  type OrderId,
  type PaymentReference,
  placeOf,
  type TopUpId,
} from '../domain/ids.ts';
import type { Drops } from '../ledger/drops.ts';
import type { Payments } from '../ledger/payments/payments.ts';
import { isTopUpId } from '../ledger/wallet/topups.ts';
import type { Log } from '../log.ts';
import type { Refunds } from '../settlement/settle/refunds.ts';
import type { Settle } from '../settlement/settle/settle.ts';
import type { Finding } from './differences.ts';

/**
 * Repairs differences by the usual paths: records the providers' results, settles orders, credits
 * top-ups, makes refunds. All of it is idempotent, so several workers may repair at once.
 */
export function openRepairs(options: {
  payments: Payments;
  drops: Drops;
  refunds: Refunds;
  settle: Settle;
  settleTopUps(ids: readonly TopUpId[]): Promise<void>;
  log: Log;
}) {
  const { payments, drops, refunds, settle, settleTopUps, log } = options;

  return async function repair(findings: readonly Finding[]): Promise<void> {
    const wanted = findings.flatMap(({ repair }) => repair ?? []);
    const facts = wanted.flatMap((one) => (one.kind === 'record' ? [one.fact] : []));
    const back = wanted.flatMap((one) => (one.kind === 'refund' ? [one.payment] : []));
    const checks = wanted.flatMap((one) => (one.kind === 'check' ? [one.payment] : []));
    const outside = wanted.flatMap((one) => (one.kind === 'outside' ? [one] : []));
    const ids = new Set(wanted.flatMap((one) => ('order' in one ? [one.order] : [])));
    const orders = [...ids].filter((id) => !isTopUpId(id));
    await attempt('record', () => payments.record(facts));
    await attempt('settle', () => settleAll(orders));
    await attempt('credit', () => settleTopUps([...ids].filter(isTopUpId)));
    await attempt('check', async () => refunds.check(await payments.find([...new Set(checks)])));
    for (const one of outside) await attempt('outside', () => payments.recordOutsideRefund(one));
    await attempt('refund', () => returnAll([...new Set(back)]));
  };

  /** A repair that fails must not stop the others. What it leaves unrepaired becomes an alarm. */
  async function attempt(what: string, work: () => Promise<unknown>): Promise<void> {
    await work().catch((error: unknown) => log.error({ err: error, what }, 'a repair failed'));
  }

  async function settleAll(orders: readonly OrderId[]): Promise<void> {
    await revive(orders.map((id) => placeOf(id).drop));
    if (orders.length > 0) await settle(orders);
  }

  /** A retired drop becomes active first: otherwise nothing reads its lanes' new outbox entries. */
  async function revive(placed: readonly (DropId | '')[]): Promise<void> {
    for (const drop of new Set(placed)) if (drop) await drops.revive(drop);
  }

  /** A whole refund also takes back the units; a partial one does not. */
  async function returnAll(references: readonly PaymentReference[]): Promise<void> {
    const found = await payments.find(references);
    const isWhole = found.filter(({ refundAskedAt }) => refundAskedAt !== null);
    await revive(isWhole.map((payment) => payment.drop));
    await refunds.giveBack(isWhole);
    await refunds.returnAsked(found.filter(({ refundAskedAt }) => refundAskedAt === null));
  }
}
