import { inParts } from '../batching/in-parts.ts';
import type { Clock } from '../domain/clock.ts';
import type { BuyerId, TopUpId } from '../domain/ids.ts';
import { found } from '../domain/required.ts';
import { isRefusedBySql } from '../ledger/database/refused.ts';
import type { Payments } from '../ledger/payments/payments.ts';
import type { Payment, PaymentOf } from '../ledger/payments/row.ts';
import type { Accounts } from '../ledger/wallet/accounts.ts';
import { isTopUpId, type TopUpOrder, type TopUps } from '../ledger/wallet/topups.ts';
import type { Log } from '../log.ts';
import type { Charge, ClientAction, Providers } from '../payments/provider.ts';
import type { PaymentMetrics } from '../settlement/metrics/payment-metrics.ts';
import { isOpen } from '../settlement/settle/batch.ts';
import {
  answersTo,
  countUntrusted,
  refOf,
  resultsOf,
} from '../settlement/settle/provider-calls.ts';
import type { Choice, Chosen, PaymentAttempts, Refusal } from './attempts.ts';

export type TopUpStarted =
  | { kind: 'begun'; topUp: TopUpOrder; action?: ClientAction | undefined }
  | Refusal
  | { kind: 'reused' | 'refused' | 'unknown' | 'too_late' | 'too_many' };

const payableMs = 30 * 60_000;
/** Open top-ups of one buyer. Each is polled until its end, so this bounds the calls to a provider. */
const openMax = 10;
const title = 'Wallet top-up';

/** Top-ups: a buyer pays at another provider, and the wallet is credited once. */
export function openTopUpService(options: {
  topUps: TopUps;
  payments: Payments;
  accounts: Pick<Accounts, 'topUpAll'>;
  paymentAttempts: PaymentAttempts;
  providers: Providers;
  counts: PaymentMetrics;
  clock: Clock;
  log: Log;
}) {
  const { topUps, payments, accounts, paymentAttempts, providers, counts, clock, log } = options;

  /** Starts one top-up for each key of a buyer; a repeat returns it as it is now. */
  async function start(
    wanted: Choice & { buyer: BuyerId; amount: number; currency: string; key: string },
  ): Promise<TopUpStarted> {
    const chosen = paymentAttempts.choose(wanted, wanted);
    if ('refusal' in chosen) return chosen.refusal;
    if (chosen.provider.startedBy === 'engine') return { kind: 'not_offered' };
    const now = clock.now();
    const created = await topUps.create(wanted, { openMax, since: now - payableMs });
    if (created.kind !== 'done') return created;
    const { topUp } = created;
    if (topUp.creditedAt !== null) return { kind: 'begun', topUp };
    const until = topUp.createdAt + payableMs;
    if (now >= until) return { kind: 'too_late' };
    const attempts = await payments.ofOrders([topUp.id]);
    // Paid, and about to be credited: it must not be paid again.
    if (attempts.some(isCaptured)) return await credited(topUp);
    const { id: orderId, amount, currency } = topUp;
    const payable = { orderId, drop: '' as const, amount, currency };
    const opened = await paymentAttempts.open(chosen, { payable, attempts, now, until });
    if (opened.kind === 'too_many') return opened;
    // Captured a moment ago, or unknown: a repeat of the request reads the result from the ledger.
    if (opened.kind !== 'open') return { kind: 'unknown' };
    return await startAtProvider(chosen, { topUp, payment: opened.payment, until, now });
  }

  async function startAtProvider(
    chosen: Chosen,
    begun: { topUp: TopUpOrder; payment: Payment; until: number; now: number },
  ): Promise<TopUpStarted> {
    const { provider, scene } = chosen;
    const { topUp, payment, until, now } = begun;
    const action = paymentAttempts.actionOf(payment, scene, now);
    if (action) return { kind: 'begun', topUp, action };
    const charge: Charge = {
      ...refOf(payment),
      orderId: topUp.id,
      buyer: topUp.buyer,
      merchantId: '',
      amount: topUp.amount,
      currency: topUp.currency,
      title,
      expiresAt: until,
      wish: paymentAttempts.wishOf(payment, chosen),
    };
    const started = await paymentAttempts.start(provider, { payment, charge, scene, now });
    if (started.kind === 'waiting') return { kind: 'begun', topUp, action: started.action };
    if (started.kind !== 'captured') return started;
    return await credited(topUp);
  }

  async function credited(topUp: TopUpOrder): Promise<TopUpStarted> {
    await settle([topUp.id]);
    return { kind: 'begun', topUp: (await topUps.find([topUp.id]))[0] ?? topUp };
  }

  /** Asks the providers about these top-ups, closes those whose time is over, credits captured money. */
  async function settle(ids: readonly TopUpId[]): Promise<void> {
    const attempts = await payments.ofOrders(ids);
    for (const [name, group] of Map.groupBy(attempts, (payment) => payment.provider)) {
      await ask(name, group).catch((error: unknown) => {
        log.warn({ err: error, provider: name }, 'polling the payments of top-ups failed');
      });
    }
    await credit(ids, await payments.ofOrders(ids));
  }

  async function ask(name: string, group: Payment[]): Promise<void> {
    const provider = providers.get(name);
    if (!provider) return;
    const now = clock.now();
    const unsettled = group.filter(({ state }) => state !== 'captured' && state !== 'refunded');
    const isOver = (payment: Payment) => isOpen(payment) && now >= (payment.payableUntil ?? now);
    const byReference = new Map(unsettled.map((payment) => [payment.reference, payment]));
    const [over, waiting] = [unsettled.filter(isOver), unsettled.filter((one) => !isOver(one))];
    const answers = [
      ...(over.length > 0 ? await provider.close(over.map(refOf)) : []),
      ...(waiting.length > 0 ? await provider.lookUp(waiting.map(refOf)) : []),
    ];
    const outcomes = answersTo(unsettled, answers, (reference) => {
      log.error(
        { provider: name, reference },
        'a payment provider answered about a payment that it was not asked about',
      );
    });
    const untrusted = countUntrusted(unsettled, { answers, outcomes });
    if (untrusted > 0) counts.unknown(name, untrusted);
    const facts = outcomes.flatMap((outcome) => {
      const payment = found(byReference, outcome.reference, 'payment asked about');
      return resultsOf(outcome, { payment, now, byBuyer: true });
    });
    const recorded = await payments.record(facts);
    for (const { state, changed } of recorded) {
      if (changed && (state === 'captured' || state === 'declined')) counts.payment(name, state);
    }
  }

  /**
   * Credits each reference once. A second capture for one top-up is credited too: it is the buyer's
   * money.
   */
  async function credit(ids: readonly TopUpId[], attempts: PaymentOf<TopUpId>[]): Promise<void> {
    const captured = attempts.filter(isCaptured);
    if (captured.length === 0) return;
    const [fitting, others] = [captured.filter(isOurs), captured.filter((one) => !isOurs(one))];
    for (const { reference } of others) {
      log.error({ reference }, 'top-up paid in another currency: an operator has to act');
    }
    const known = new Map((await topUps.find(ids)).map((topUp) => [topUp.id, topUp]));
    const wanted = fitting.flatMap((payment) => {
      const topUp = known.get(payment.orderId);
      return topUp ? [{ payment, topUp }] : [];
    });
    const failed = await inParts(wanted, creditAll, { isOfItem: isRefusedBySql });
    for (const { item, error } of failed) {
      const { orderId: topUp, reference } = item.payment;
      log.error({ err: error, topUp, reference }, 'a paid top-up cannot be credited');
    }
    await payments.endPolling(captured.map(({ reference }) => reference));
  }

  /** Credits top-ups and marks them. One whose reference was credited with another amount is not marked. */
  async function creditAll(
    wanted: readonly { payment: PaymentOf<TopUpId>; topUp: TopUpOrder }[],
  ): Promise<void> {
    const credited = await accounts.topUpAll(
      wanted.map(({ payment: { provider, reference, amountCaptured, currency }, topUp }) => {
        const { buyer } = topUp;
        return { buyer, currency, amount: amountCaptured, reference, from: provider };
      }),
    );
    const isReused = (index: number) => credited[index]?.kind === 'reused';
    for (const { payment } of wanted.filter((_, index) => isReused(index))) {
      const { orderId: topUp, reference, amountCaptured } = payment;
      log.error(
        { topUp, reference, amountCaptured },
        'top-up was credited with another amount before: an operator has to act',
      );
    }
    const done = wanted.filter((_, index) => !isReused(index));
    await topUps.markCredited(done.map(({ topUp }) => topUp.id));
  }

  return {
    start,
    settle,
    /** A top-up of this buyer; undefined when the buyer has none of this id. */
    async find(buyer: BuyerId, id: string): Promise<TopUpOrder | undefined> {
      // The id comes from an address and may be any text, some of which SQL does not accept.
      const [topUp] = isTopUpId(id) ? await topUps.find([id]) : [];
      return topUp?.buyer === buyer ? topUp : undefined;
    },
  };
}

const isCaptured = ({ state }: Payment) => state === 'captured';
/** Money in another currency is recorded as a capture of 0: see resultsOf. */
const isOurs = ({ amountCaptured }: Payment) => amountCaptured > 0;

export type TopUpService = ReturnType<typeof openTopUpService>;
