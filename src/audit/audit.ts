import { setTimeout as wait } from 'node:timers/promises';
import type { DropId } from '../domain/ids.ts';
import { compareIds } from '../drops/lost-lanes.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { AccountRef } from '../ledger/wallet/account.ts';
import type { AuditScope, Check } from './check.ts';
import { checkEnds, checkMoney, checkOrders } from './orders.ts';
import { type Reading, type ReadingSource, readDrop } from './reading.ts';
import { checkLimits, checkStock, sumUp } from './stock.ts';

export type AuditReport = {
  drop: DropId;
  /** Redis' clock at the last reading, ms since the epoch. */
  at: number;
  /** Every promise was checked and holds. */
  clean: boolean;
  /** False when the drop kept changing, so that some differences were neither confirmed nor cleared. */
  settled: boolean;
  /** Outbox entries not relayed yet. */
  backlog: number;
  checks: {
    promise: number;
    title: string;
    ok: boolean;
    figures: Record<string, number>;
    findings: string[];
  }[];
};

export type { AuditScope };

export type Audit = (dropId: DropId, scope?: AuditScope) => Promise<AuditReport | undefined>;

const readingsMax = 6;
const pauseMs = 400;
const findingsShownMax = 50;

/**
 * Checks promises 1, 3, 4, 5 and 7 on a drop, each from the lanes and from the ledger. A difference is
 * a breach when a second reading finds it again and the ledger had by then read every outbox entry of
 * the first; until then it may only be lag. Undefined when there is no such drop.
 */
export function openAudit(
  options: Omit<ReadingSource, 'ledgerAudit'> & {
    ledger: Pick<Ledger, 'drops' | 'orders' | 'payments' | 'accounts' | 'audit'>;
    /** Called with accounts that an audit found and may not tell of. */
    onForeignDrift?: (accounts: readonly AccountRef[]) => void;
  },
): Audit {
  const { ledger, onForeignDrift } = options;

  async function judge(reading: Reading, scope: AuditScope): Promise<Check[]> {
    const shape = { lanes: reading.drop.lanes, items: reading.drop.items.length };
    const sums = {
      lanes: sumUp(reading.records.values(), shape),
      ledger: sumUp(reading.lines.values(), shape),
    };
    return [
      checkStock(reading, sums),
      checkOrders(reading),
      await checkMoney(reading, ledger, { scope, onForeignDrift }),
      await checkEnds(reading, ledger.audit),
      checkLimits(reading, sums),
    ];
  }

  return async function audit(dropId, scope = 'merchant') {
    let before: { reading: Reading; checks: Check[] } | undefined;
    for (let count = 1; ; count += 1) {
      const drop = await ledger.drops.get(dropId);
      if (!drop) return undefined;
      const reading = await readDrop({ ...options, ledgerAudit: ledger.audit }, drop);
      const checks = await judge(reading, scope);
      const proven = before !== undefined && hasCaughtUp(reading, before.reading);
      if (proven) for (const [i, check] of checks.entries()) keepRepeated(check, before?.checks[i]);
      const open = checks.some((check) => check.findings.length > 0);
      if (!open || proven || count === readingsMax) {
        return reportOf(reading, checks, { settled: !open || proven });
      }
      before = { reading, checks };
      await wait(pauseMs);
    }
  };
}

/** Whether the ledger, when the later reading began, had read all outbox entries of the earlier one. */
function hasCaughtUp(later: Reading, earlier: Reading): boolean {
  return earlier.lastEvents.every((last, lane) => {
    return last === '0-0' || compareIds(later.positions[lane] ?? '0-0', last) >= 0;
  });
}

/** Keeps only findings that the earlier check had too. */
function keepRepeated(check: Check, before: Check | undefined): void {
  const seen = new Set(before?.findings);
  check.findings = check.findings.filter((finding) => seen.has(finding));
}

function reportOf(
  reading: Reading,
  checks: Check[],
  { settled }: { settled: boolean },
): AuditReport {
  const judged = checks.map(({ promise, title, figures, findings, lasting }) => {
    const breaches = settled ? [...lasting, ...findings] : lasting;
    const inMotion: Record<string, number> = settled ? {} : { inMotion: findings.length };
    return {
      promise,
      title,
      ok: breaches.length === 0,
      figures: { ...figures, ...inMotion, breaches: breaches.length },
      findings: breaches.slice(0, findingsShownMax),
    };
  });
  return {
    drop: reading.drop.id,
    at: reading.now,
    clean: settled && judged.every((check) => check.ok),
    settled,
    backlog: reading.backlog,
    checks: judged,
  };
}
