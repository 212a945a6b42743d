import { isOrderId } from '../../src/domain/ids.ts';
import { paymentReference } from '../../src/ledger/payments/row.ts';
import type { SeenOrder } from '../auditor/sources.ts';
import type { Evidence } from './evidence.ts';
import type { Method } from './plan.ts';
import { simulated } from './simulators.ts';

/** Money under one payment reference in one book. */
export type Money = { provider: Method; captured: number; refunded: number };

export type Judgement = {
  breaches: string[];
  /** By reference, from the books of the providers and of the wallet. */
  money: Map<string, Money>;
  /** By order: what it must finally have cost its buyer. */
  due: Map<string, number>;
};

const attemptsMax = 20;

/** State changes that are impossible. A late capture may still sell what was released. */
const cannotFollow: Record<string, string[]> = {
  paid: ['reserved', 'released'],
  refunded: ['reserved', 'paid', 'released'],
  released: ['reserved'],
};

/** Compares what clients, merchant and providers have; returns the breaches, an empty list for a clean run. */
export function judge(evidence: Evidence): Judgement {
  const { drops, book, price } = evidence;
  const breaches = [...book.breaches];
  const money = moneyOf(evidence, breaches);
  const due = new Map<string, number>();
  const listed = new Map<string, SeenOrder>();
  for (const { orders } of drops) {
    for (const order of orders) {
      if (listed.has(order.id)) breaches.push(`${order.id} is listed twice`);
      listed.set(order.id, order);
      const parts = book.parts.get(order.id) ?? 0;
      due.set(order.id, order.state === 'paid' ? price - parts : 0);
    }
  }
  judgeOrders(evidence, listed, breaches);
  judgeMoney({ money, due }, breaches);
  judgeLedger(evidence, money, breaches);
  judgeStock(evidence, breaches);
  judgeAudits(evidence, breaches);
  for (const provider of simulated) {
    const { forgeriesTaken } = evidence.providers[provider];
    if (forgeriesTaken > 0)
      breaches.push(`${forgeriesTaken} forgeries of ${provider} were believed`);
  }
  return { breaches, money, due };
}

/** Every movement of money in the books outside the engine. */
function moneyOf({ providers, wallet }: Evidence, breaches: string[]): Map<string, Money> {
  const money = new Map<string, Money>();
  for (const provider of simulated) {
    for (const { reference, amount, captures, refunds } of providers[provider].charges) {
      if (captures > 1) breaches.push(`${provider} captured ${reference} ${captures} times`);
      const refunded = refunds.reduce((sum, refund) => sum + refund.amount, 0);
      money.set(reference, { provider, captured: amount * captures, refunded });
    }
  }
  for (const movement of wallet) {
    const { kind, amount } = movement;
    // A refund's is its payment's and a number.
    const reference = movement.reference.replace(/r\d+$/, '');
    const known = money.get(reference) ?? { provider: 'wallet', captured: 0, refunded: 0 };
    money.set(reference, known);
    known[kind === 'capture' ? 'captured' : 'refunded'] += amount;
  }
  return money;
}

function judgeOrders({ book }: Evidence, listed: Map<string, SeenOrder>, breaches: string[]): void {
  for (const [id, { buyer }] of book.acknowledged) {
    const order = listed.get(id);
    if (!order) breaches.push(`${id} was acknowledged to ${buyer} and is in no list`);
    else if (order.buyer !== buyer)
      breaches.push(`${id} of ${buyer} is listed as ${order.buyer}'s`);
  }
  for (const [id, { state, buyer }] of listed) {
    if (state === 'reserved') breaches.push(`${id} is still reserved`);
    if (!book.acknowledged.has(id) && !book.unsure.has(buyer)) {
      breaches.push(`${id} exists, and ${buyer} was never told of it`);
    }
    for (const seen of book.seen.get(id) ?? []) {
      if (cannotFollow[seen]?.includes(state))
        breaches.push(`${id} was seen ${seen} and is ${state}`);
    }
    if (book.wholes.has(id) && state !== 'refunded') {
      breaches.push(`${id} was to be given back whole and is ${state}`);
    }
    if (book.parts.has(id) && state !== 'refunded' && state !== 'paid') {
      breaches.push(`${id} was paid once, a part was given back, and it is ${state}`);
    }
  }
}

/** Captured less refunded is the price of a paid order less its partial refunds, and 0 otherwise. */
function judgeMoney(
  { money, due }: { money: Map<string, Money>; due: Map<string, number> },
  breaches: string[],
): void {
  const left = new Map(money);
  for (const [id, amount] of due) {
    if (!isOrderId(id)) {
      breaches.push(`${id} is not an order's id`);
      continue;
    }
    const kept: string[] = [];
    let sum = 0;
    for (let attempt = 1; attempt <= attemptsMax; attempt += 1) {
      for (const method of ['wallet', 'stripe']) {
        const reference = paymentReference(id, attempt, method);
        const { provider, captured, refunded } = left.get(reference) ?? {};
        left.delete(reference);
        if (captured === undefined || refunded === undefined) continue;
        sum += captured - refunded;
        if (captured !== refunded) kept.push(`${provider} ${reference}: ${captured} - ${refunded}`);
      }
    }
    if (sum !== amount || kept.length > 1) {
      breaches.push(`${id} has cost ${sum}, due is ${amount} (${kept.join(', ')})`);
    }
  }
  for (const [reference, { provider, captured, refunded }] of left) {
    if (captured === refunded) continue;
    breaches.push(
      `${provider} keeps ${captured - refunded} under ${reference}, which is no order's`,
    );
  }
}

/** The ledger and the provider's book agree about every payment reference. */
function judgeLedger(
  { payments, refunds }: Evidence,
  money: Map<string, Money>,
  breaches: string[],
): void {
  const known = new Set<string>();
  for (const { reference, provider, state, captured, refunded } of payments) {
    known.add(reference);
    const theirs = money.get(reference) ?? { captured: 0, refunded: 0 };
    if (theirs.captured !== captured || theirs.refunded !== refunded) {
      breaches.push(
        `${provider} ${reference}: ${state}, captured ${captured} and refunded ${refunded} by the ledger, ` +
          `${theirs.captured} and ${theirs.refunded} by the provider`,
      );
    }
  }
  for (const [reference, { provider, captured }] of money) {
    if (captured > 0 && !known.has(reference)) {
      breaches.push(`${provider} captured ${reference}, which the ledger does not know`);
    }
  }
  for (const { state, count } of refunds) {
    if (state !== 'done') breaches.push(`${count} refunds are ${state}`);
  }
}

function judgeStock({ drops }: Evidence, breaches: string[]): void {
  for (const [n, { orders, units, allotment }] of drops.entries()) {
    const { available, held, sold } = units;
    const paid = orders.filter(({ state }) => state === 'paid').length;
    if (available + held + sold !== allotment || units.allotment !== allotment) {
      breaches.push(`drop ${n}: ${available} + ${held} + ${sold} is not ${allotment}`);
    }
    if (Math.min(available, held, sold) < 0) breaches.push(`drop ${n} has a figure below zero`);
    if (held > 0) breaches.push(`drop ${n} still holds ${held}`);
    if (sold !== paid) breaches.push(`drop ${n}: ${paid} are paid, the lanes sold ${sold}`);
  }
}

function judgeAudits({ drops }: Evidence, breaches: string[]): void {
  for (const [n, { audit }] of drops.entries()) {
    if (!audit) continue;
    if (!audit.settled) breaches.push(`drop ${n}: the engine's own audit saw things in motion`);
    for (const { findings, figures } of audit.checks) {
      breaches.push(...findings.map((finding) => `drop ${n}, the engine's own audit: ${finding}`));
      if ((figures['trialBalance'] ?? 0) !== 0)
        breaches.push(`the trial balance is ${figures['trialBalance']}`);
    }
  }
}
