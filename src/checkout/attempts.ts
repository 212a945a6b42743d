import type { Payments } from '../ledger/payments/payments.ts';
import { pollDelays } from '../ledger/payments/polling.ts';
import type { Payment, PaymentStart } from '../ledger/payments/row.ts';
import type { Log } from '../log.ts';
import type {
  Charge,
  ClientAction,
  ClientWish,
  Outcome,
  PaymentProvider,
  Providers,
} from '../payments/provider.ts';
import { isOpen } from '../settlement/settle/batch.ts';
import { refOf, resultsOf } from '../settlement/settle/provider-calls.ts';

/** How a buyer wants to pay: the method, which names a provider, and the details for it. */
export type Choice = { method: string; wish: ClientWish };

/** A choice that is offered: its provider, and the scene that the wish or the provider names. */
export type Chosen = { provider: PaymentProvider; scene: string; wish: ClientWish };

export type Refusal =
  | { kind: 'not_offered' }
  /** The wish itself is wrong. */
  | { kind: 'wish'; field: string; reason: string };

/** The result of beginning a payment at a provider. */
export type Started =
  | { kind: 'waiting'; action: ClientAction }
  | { kind: 'captured' }
  /** The provider refused it; nothing can be captured. */
  | { kind: 'refused' }
  /** No reliable answer: a repeat continues with the same payment. */
  | { kind: 'unknown' };

/** The result of opening a payment at the chosen provider. */
export type Opened =
  | { kind: 'open'; payment: Payment }
  /** The payment that was open before turned out to be captured. */
  | { kind: 'captured' }
  /**
   * The open payment could not be closed, or another request was faster: a repeat continues from there.
   */
  | { kind: 'unknown' }
  /** The order or top-up has had `attemptsMax` payments. One that is open stays open. */
  | { kind: 'too_many' };

/** Stored with a begun payment, so that a repeat gets the same answer; `at` is in ms. */
type Kept = { scene: string; returnUrl?: string | undefined; action: ClientAction; at: number };

const pollFirstMsDefault = pollDelays.openFirstMs;
/** The most payments that may be begun for one order or top-up. */
const attemptsMax = 20;
/** A repeat gets the stored action for this long, ms; some actions are valid for five minutes only. */
const actionFreshMs = 120_000;

/** Begins, repeats and closes payments that buyers make at a provider. */
export function openPaymentAttempts(options: {
  payments: Payments;
  providers: Providers;
  log: Log;
  /** The time from the beginning of a payment to its first poll, ms. */
  pollFirstMs?: number | undefined;
}) {
  const { payments, providers, log, pollFirstMs = pollFirstMsDefault } = options;

  function choose(
    { method, wish }: Choice,
    { currency, amount }: { currency: string; amount: number },
  ): Chosen | { refusal: Refusal } {
    const provider = providers.get(method);
    if (!provider?.takes(currency, amount)) return { refusal: { kind: 'not_offered' } };
    const { scenes } = provider;
    const scene = wish.scene ?? scenes[0] ?? '';
    if (wish.scene !== undefined && !scenes.includes(scene)) {
      const reason =
        scenes.length > 0 ? `must be one of ${scenes.join(', ')}` : 'is not for this method';
      return { refusal: { kind: 'wish', field: 'scene', reason } };
    }
    const wrong = provider.refuseWish?.({ ...wish, scene });
    if (wrong) return { refusal: { kind: 'wish', ...wrong } };
    return { provider, scene, wish };
  }

  /**
   * The stored action of a begun payment; undefined when there is none, it is too old or of another
   * scene.
   */
  function actionOf(payment: Payment, scene: string, now: number): ClientAction | undefined {
    const kept = keptOf(payment);
    if (kept?.scene !== scene || now - kept.at > actionFreshMs) return undefined;
    return kept.action;
  }

  /** Whether an open payment is the one that the buyer asks for, so that it is continued. */
  function isSame(payment: Payment, { provider, scene, wish: { returnUrl } }: Chosen): boolean {
    if (payment.provider !== provider.name) return false;
    const kept = keptOf(payment);
    if (!kept) return true;
    // The page of the provider has its return URL for good; other actions have none.
    const staysBack = returnUrl === undefined || returnUrl === kept.returnUrl;
    return kept.scene === scene && (staysBack || kept.action.kind !== 'redirect');
  }

  /** The wish of a payment that may have been begun before: a repeat need not name it again. */
  function wishOf(payment: Payment, { scene, wish }: Chosen): ClientWish {
    return { ...wish, scene, returnUrl: wish.returnUrl ?? keptOf(payment)?.returnUrl };
  }

  /**
   * The open payment for what the buyer chose: the one that is open already, or a new one. A payment
   * that is open for another choice is closed first, so that nothing is payable in two ways at once.
   */
  async function open(
    chosen: Chosen,
    wanted: {
      payable: Pick<PaymentStart, 'orderId' | 'drop' | 'amount' | 'currency'>;
      /** Every payment of the order or top-up so far, first to last. */
      attempts: readonly Payment[];
      now: number;
      /** The end of the time to pay, ms since the epoch. */
      until: number;
    },
  ): Promise<Opened> {
    const { attempts, now } = wanted;
    const before = attempts.find(isOpen);
    if (before && isSame(before, chosen)) return { kind: 'open', payment: before };
    // Before anything is closed: the open payment may be the last one that the buyer can complete.
    if (attempts.length >= attemptsMax) return { kind: 'too_many' };
    const ending = before && (await end(before, now));
    if (ending === 'captured' || ending === 'unknown') return { kind: ending };
    return await openNext(chosen.provider, wanted);
  }

  async function openNext(
    provider: PaymentProvider,
    { payable, attempts, now, until }: Parameters<typeof open>[1],
  ): Promise<Opened> {
    const [payment] = await payments.begin([
      {
        ...payable,
        provider: provider.name,
        attempt: (attempts.at(-1)?.attempt ?? 0) + 1,
        // A charge by the engine ends with the hold alone.
        payableUntil: provider.startedBy === 'buyer' ? until : undefined,
        // At the latest when it is to be closed.
        nextPollAt: Math.min(now + pollFirstMs, until),
      },
    ]);
    // Another tab was faster, perhaps with another method: a repeat of this request sees its payment.
    const isOurs = payment && isOpen(payment) && payment.provider === provider.name;
    return isOurs ? { kind: 'open', payment } : { kind: 'unknown' };
  }

  /** Closes an open payment, so that another may be begun in its place. */
  async function end(payment: Payment, now: number): Promise<'ended' | 'captured' | 'unknown'> {
    const provider = providers.get(payment.provider);
    if (!provider) return 'unknown';
    try {
      const [outcome] = await provider.close([refOf(payment)]);
      if (!outcome || outcome.kind === 'none' || outcome.kind === 'pending') return 'unknown';
      const byBuyer = provider.startedBy === 'buyer';
      const facts = resultsOf(outcome, { payment, now, byBuyer });
      // The buyer chose another method. Recorded as a decline, it would release the units.
      await payments.record(
        facts.map((fact) => (fact.state === 'declined' ? { ...fact, reason: 'closed' } : fact)),
      );
      if (outcome.kind === 'captured') return 'captured';
      return outcome.kind === 'declined' ? 'ended' : 'unknown';
    } catch (error) {
      log.warn({ err: error, provider: payment.provider }, 'closing a payment failed');
      return 'unknown';
    }
  }

  /** Begins a payment at its provider, or continues one whose start was never answered. */
  async function start(
    provider: PaymentProvider,
    wanted: { payment: Payment; charge: Charge; scene: string; now: number },
  ): Promise<Started> {
    const { returnUrl } = wanted.charge.wish;
    try {
      const [outcome] = await provider.start([wanted.charge]);
      if (!outcome || outcome.kind === 'none') return { kind: 'unknown' };
      if (outcome.kind !== 'pending') return await recordAnswer(outcome, wanted);
      const { action, providerReference } = outcome;
      if (!action) return { kind: 'unknown' };
      return await keepAction(action, { ...wanted, returnUrl, providerReference });
    } catch (error) {
      log.warn({ err: error, provider: provider.name }, 'beginning a payment failed');
      return { kind: 'unknown' };
    }
  }

  /** Stores the action by which the buyer pays; the provider waits for it. */
  async function keepAction(
    action: ClientAction,
    begun: Pick<Kept, 'scene' | 'returnUrl'> & {
      payment: Payment;
      providerReference: string | undefined;
      now: number;
    },
  ): Promise<Started> {
    const { payment, providerReference, scene, returnUrl, now } = begun;
    const { reference } = payment;
    const kept: Kept = { scene, returnUrl, action, at: now };
    const known = { reference, providerReference, action: JSON.stringify(kept) };
    const [result] = await payments.record([{ ...known, state: 'started' }]);
    if (result?.state !== 'declined') return { kind: 'waiting', action };
    // Another request closed it before the provider knew it: close what is open there now.
    await end({ ...payment, ...result }, now);
    return { kind: 'unknown' };
  }

  /** The provider decided at once, without the buyer. */
  async function recordAnswer(
    outcome: Outcome,
    { payment, now }: { payment: Payment; now: number },
  ): Promise<Started> {
    const [fact] = resultsOf(outcome, { payment, now, byBuyer: true });
    if (!fact) return { kind: 'unknown' };
    // Declined before the buyer saw it: they may still pay by another method.
    const isRefused = fact.state === 'declined';
    await payments.record([isRefused ? { ...fact, reason: 'closed' } : fact]);
    if (isRefused) return { kind: 'refused' };
    return { kind: fact.state === 'captured' ? 'captured' : 'unknown' };
  }

  return { choose, open, actionOf, wishOf, end, start };
}

/** A text that is none of ours counts as no action: the payment is begun again under its reference. */
function keptOf({ action }: Payment): Kept | undefined {
  if (action === null) return undefined;
  try {
    return JSON.parse(action) as Kept;
  } catch {
    return undefined;
  }
}

export type PaymentAttempts = ReturnType<typeof openPaymentAttempts>;
