import type {
  ReconciliationQueries,
  WatchedRefund,
} from '../ledger/checks/reconciliation-queries.ts';
import type { Payments } from '../ledger/payments/payments.ts';
import type { Payment } from '../ledger/payments/row.ts';
import type { BillLine, PaymentProvider } from '../payments/provider.ts';
import type { Finding } from './differences.ts';

/** The result of comparing a provider's bill with the ledger. */
export type BillCompared = {
  findings: Finding[];
  /** Payments that the bill has differently from the ledger; their provider is asked next. */
  payments: string[];
  lines: number;
  /** Lines of other programs on the account: their references are not of our form. */
  foreign: number;
  notCompared: { what: string; why: string }[];
};

type Window = { from: number; until: number };

const batchLines = 200;
/** The form of a payment's reference, and of a refund's. */
const ownForm = /^fd[0-9a-f]{30}(r\d+)?$/;

/** Compares a provider's bill with the ledger, line by line. */
export function openBillComparison(options: {
  payments: Payments;
  queries: ReconciliationQueries;
}) {
  const { payments, queries } = options;

  async function compare(provider: PaymentProvider, window: Window): Promise<BillCompared> {
    const until = Math.min(window.until, provider.billedUntil?.(window.until) ?? window.until);
    const compared: BillCompared = {
      findings: [],
      payments: [],
      lines: 0,
      foreign: 0,
      notCompared: unbilled(provider, { ...window, from: Math.max(until, window.from) }),
    };
    if (!provider.bill || until <= window.from) return compared;
    let batch: BillLine[] = [];
    try {
      for await (const line of provider.bill({ from: window.from, until })) {
        batch.push(line);
        if (batch.length < batchLines) continue;
        await compareLines(provider.name, batch, compared);
        batch = [];
      }
    } catch (error) {
      const says = {
        provider: `its bill cannot be read: ${error instanceof Error ? error.message : String(error)}`,
      };
      const about = { order: '' as const, payment: '', provider: provider.name };
      compared.findings.push({ kind: 'bill_unreadable', ...about, says });
    }
    await compareLines(provider.name, batch, compared);
    return compared;
  }

  async function compareLines(
    name: string,
    lines: BillLine[],
    compared: BillCompared,
  ): Promise<void> {
    const own = lines.filter(({ reference }) => ownForm.test(reference));
    compared.lines += lines.length;
    compared.foreign += lines.length - own.length;
    const of = (kind: BillLine['kind']) => own.filter((line) => line.kind === kind);
    const names = (kind: BillLine['kind']) => of(kind).map(({ reference }) => reference);
    const found = await payments.find(names('capture'));
    const known = new Map<string, Payment>(found.map((payment) => [payment.reference, payment]));
    const refunds = new Map((await queries.refunds(names('refund'))).map((r) => [r.reference, r]));
    for (const line of of('capture')) {
      const payment = known.get(line.reference);
      if (!payment) compared.findings.push(unknown('unknown_capture', name, line));
      else if (!isAsRecorded(line, payment)) compared.payments.push(payment.reference);
    }
    for (const line of of('refund')) {
      const refund = refunds.get(line.reference);
      if (!refund) compared.findings.push(unknown('unknown_refund', name, line));
      else if (refund.amount !== line.amount) {
        compared.findings.push(otherRefund(name, line, refund));
      } else if (refund.state !== 'done') compared.payments.push(refund.payment);
    }
  }

  /** The findings that still hold: an unknown line may have reached the ledger since. */
  async function recheck(findings: readonly Finding[]): Promise<Finding[]> {
    const names = findings.map(({ payment }) => payment);
    const known = new Set([
      ...(await payments.find(names)).map(({ reference }) => reference),
      ...(await queries.refunds(names)).map(({ reference }) => reference),
    ]);
    return findings.filter(({ kind, payment }) => kind === 'amount_differs' || !known.has(payment));
  }

  return { compare, recheck };
}

function unbilled({ bill, name }: PaymentProvider, { from, until }: Window) {
  if (!bill) {
    const why = `${name} has no bill that can be read: captures that nobody here knows are not found`;
    return [{ what: `the bill of ${name}`, why }];
  }
  if (from >= until) return [];
  const since = new Date(from).toISOString();
  return [{ what: `the bill of ${name} since ${since}`, why: 'it is not made yet' }];
}

function isAsRecorded(line: BillLine, payment: Payment): boolean {
  const isCaptured = payment.state === 'captured' || payment.state === 'refunded';
  const same = line.amount === payment.amountCaptured && line.currency === payment.currency;
  return isCaptured && same;
}

function unknown(kind: Finding['kind'], provider: string, line: BillLine): Finding {
  const { reference, providerReference, amount, currency, at } = line;
  const when = Number.isFinite(at) ? new Date(at).toISOString() : 'an unknown time';
  return {
    kind,
    order: '',
    payment: reference,
    provider,
    says: {
      ledger: 'never heard of it',
      provider: `${line.kind} ${providerReference} of ${amount} ${currency} at ${when}`,
    },
  };
}

function otherRefund(provider: string, line: BillLine, refund: WatchedRefund): Finding {
  return {
    kind: 'amount_differs',
    order: '',
    payment: line.reference,
    provider,
    says: {
      ledger: `refund of ${refund.amount}, ${refund.state}`,
      provider: `refund ${line.providerReference} of ${line.amount} ${line.currency}`,
    },
  };
}

/** The finding for a charge in the wallet's own book that belongs to no payment. */
export function unknownCharge(reference: string): Finding {
  return {
    kind: 'unknown_capture',
    order: '',
    payment: reference,
    provider: 'wallet',
    says: { ledger: 'never heard of it', provider: 'captured' },
  };
}
