import type { Audit as LedgerAudit, MoneyMismatch } from '../ledger/checks/audit-queries.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { AccountRef } from '../ledger/wallet/account.ts';
import type { AuditScope, Check } from './check.ts';
import type { Reading } from './reading.ts';

/** A hold may last this much longer than its end: the sweepers check each lane every second. */
export const holdGraceMs = 5_000;
/** Money without a paid order may be in refund for this long. */
export const refundGraceMs = 60_000;

/** Promise 3: lanes and ledger have the same orders, with the same fields. */
export function checkOrders({ records, lines }: Reading): Check {
  const findings: string[] = [];
  const digests = new Set<string>();
  let twice = 0;
  for (const [id, order] of records) {
    const digest = id.slice(id.length - 22);
    if (digests.has(digest)) {
      twice += 1;
      findings.push(`${id}: two lanes have it`);
    }
    digests.add(digest);
    const line = lines.get(id);
    if (!line) {
      findings.push(`${id}: not in the ledger, ${order.state} in its lane`);
      continue;
    }
    for (const name of ['state', 'buyer', 'item', 'quantity', 'amount'] as const) {
      if (order[name] !== line[name]) {
        findings.push(`${id}: ${name} is ${order[name]} in its lane, ${line[name]} in the ledger`);
      }
    }
  }
  for (const [id, line] of lines) {
    if (!records.has(id)) findings.push(`${id}: not in its lane, ${line.state} in the ledger`);
  }
  const figures = { orders: lines.size, ordersInLanes: records.size, twice };
  return { promise: 3, title: 'One key, one order', figures, findings, lasting: [] };
}

/** Promise 5: no order is reserved longer than its hold and the grace. */
export async function checkEnds(reading: Reading, ledgerAudit: LedgerAudit): Promise<Check> {
  const { drop, records, now } = reading;
  const findings: string[] = [];
  let reserved = 0;
  let lateMsMost = 0;
  for (const { id, state, expiresAt } of records.values()) {
    if (state !== 'reserved') continue;
    reserved += 1;
    lateMsMost = Math.max(lateMsMost, now - expiresAt);
    if (expiresAt + holdGraceMs < now) findings.push(`${id}: reserved in its lane past its hold`);
  }
  for (const late of await ledgerAudit.overdue(drop.id, { now, graceMs: holdGraceMs })) {
    findings.push(`${late.orderId}: reserved in the ledger past its hold`);
  }
  const figures = { reserved, lateMsMost, graceMs: holdGraceMs };
  return { promise: 5, title: 'Every order ends', figures, findings, lasting: [] };
}

/** Promise 4: captures less refunds equal the paid orders, in the ledger's payments and the wallet. */
export async function checkMoney(
  reading: Reading,
  ledger: Pick<Ledger, 'audit' | 'accounts' | 'payments' | 'orders'>,
  drift: {
    scope: AuditScope;
    onForeignDrift?: ((accounts: readonly AccountRef[]) => void) | undefined;
  },
): Promise<Check> {
  const { drop, records, now } = reading;
  const findings: string[] = [];
  const lasting: string[] = [];
  let paid = 0;
  let amountPaid = 0;
  for (const { state, amount } of records.values()) {
    if (state !== 'paid') continue;
    paid += 1;
    amountPaid += amount;
  }
  const money = await ledger.audit.money(drop.id, { begunSince: now - refundGraceMs });
  const trial = await ledger.accounts.trialBalance();
  if (trial.sum !== 0 && drift.scope === 'operator')
    lasting.push(`all balances together are ${trial.sum}, not zero`);
  const isTold = ({ kind, owner }: AccountRef) =>
    drift.scope === 'operator' || (kind === 'merchant' && owner === drop.merchantId);
  for (const { kind, owner, balance } of trial.drifted.filter(isTold)) {
    lasting.push(`the account of ${kind} ${owner} has ${balance}, its transfers say otherwise`);
  }
  const foreign = trial.drifted.filter((account) => !isTold(account));
  if (foreign.length > 0) drift.onForeignDrift?.(foreign);
  let underWay = 0;
  let amountUnderWay = 0;
  for (const wrong of await ledger.audit.mismatches(drop.id)) {
    if (await isUnderWay(wrong, { now, ledger })) {
      underWay += 1;
      amountUnderWay += wrong.captured - wrong.refunded;
    } else findings.push(describe(wrong));
  }
  for (const { reference, ...states } of await ledger.audit.walletMismatches(drop.id)) {
    findings.push(`${reference}: ${states.ledger} by us, ${states.wallet} by the wallet`);
  }
  const kept = money.captured - money.refunded;
  const due = amountPaid - money.parts;
  if (underWay === 0 && kept - money.reservedCaptured !== due) {
    findings.push(`${kept} is captured and kept, ${due} is due by what the lanes have as paid`);
  }
  if (money.walletKept !== money.transferred) {
    lasting.push(`the wallet's book keeps ${money.walletKept}, its transfers ${money.transferred}`);
  }
  if (money.walletKept - money.walletUnrecorded !== money.walletPayments) {
    findings.push(`the wallet keeps ${money.walletKept}, our payments say ${money.walletPayments}`);
  }
  const { captured, refunded, parts, walletKept, transferred } = money;
  const figures = {
    paid,
    amountPaid,
    captured,
    refunded,
    parts,
    kept,
    walletKept,
    transferred,
    trialBalance: trial.sum,
    underWay,
    amountUnderWay,
  };
  return { promise: 4, title: 'One order, one capture', figures, findings, lasting };
}

/** Whether a mismatch is a refund in progress: its order was just released, or it was asked for. */
async function isUnderWay(
  wrong: MoneyMismatch,
  { now, ledger }: { now: number; ledger: Pick<Ledger, 'payments' | 'orders'> },
): Promise<boolean> {
  if (wrong.captures > 1 || wrong.state === '') return false;
  const attempts = await ledger.payments.ofOrders([wrong.orderId]);
  const asked = attempts.some((payment) => {
    return payment.refundAskedAt !== null && now - payment.refundAskedAt < refundGraceMs;
  });
  if (asked) return true;
  const order = await ledger.orders.get(wrong.orderId);
  return order?.state === 'released' && now - (order.releasedAt ?? 0) < refundGraceMs;
}

function describe({ orderId, state, amount, captured, refunded, captures }: MoneyMismatch): string {
  const what = state === '' ? 'no order' : `${state} for ${amount}`;
  return `${orderId}: ${what}, captured ${captured} (${captures} kept), refunded ${refunded}`;
}
