import type { Payments } from '../ledger/payments/payments.ts';
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

/** How a buyer asks to pay: by which provider, and in which of its ways. */
export type Choice = { method: string; wish: ClientWish };

/** A choice that is offered: its provider, and the scene that the wish or the provider names. */
export type Chosen = { provider: PaymentProvider; scene: string };

export type Refusal =
  | { kind: 'not_offered' }
  /** The wish itself is wrong. */
  | { kind: 'wish'; field: string; reason: string };

/** What beginning a payment elsewhere came to. */
export type Started =
  | { kind: 'waiting'; action: ClientAction }
  | { kind: 'captured' }
  /** The provider will not have it; nothing can be captured. */
  | { kind: 'refused' }
  /** No answer that could be trusted: asking again goes on with the same payment. */
  | { kind: 'unknown' };

/** What opening a payment at the chosen provider came to. */
export type Opened =
  | { kind: 'open'; payment: Payment }
  /** The payment that was open before turned out to be captured. */
  | { kind: 'captured' }
  /** It could not be closed, or another request was faster: asking again goes on from there. */
  | { kind: 'unknown' }
  /** So many payments have been begun for this order or top-up. */
  | { kind: 'too_many' };

/** What is kept of a begun payment, so that asking again gives the same answer. */
type Kept = { scene: string; action: ClientAction; at: number };

const pollFirstMsDefault = 3_000;
/** Payments that one order or top-up may have had. */
const attemptsMax = 20;
/** What a client is told to do is told again for so long; some of it is good for five minutes only. */
const actionFreshMs = 120_000;

/** Begins, shows again and closes payments that buyers make with a provider elsewhere. */
export function openPaymentAttempts(options: {
  payments: Payments;
  providers: Providers;
  log: Log;
  /** How soon after its beginning a payment is first asked about, ms. */
  pollFirstMs?: number | undefined;
}) {
  const { payments, providers, log, pollFirstMs = pollFirstMsDefault } = options;

  function choose({ method, wish }: Choice, currency: string): Chosen | { refusal: Refusal } {
    const provider = providers.get(method);
    if (!provider?.takes(currency)) return { refusal: { kind: 'not_offered' } };
    const { scenes } = provider;
    const scene = wish.scene ?? scenes[0] ?? '';
    if (wish.scene !== undefined && !scenes.includes(scene)) {
      const reason =
        scenes.length > 0 ? `must be one of ${scenes.join(', ')}` : 'is not for this method';
      return { refusal: { kind: 'wish', field: 'scene', reason } };
    }
    const wrong = provider.refuseWish?.({ ...wish, scene });
    if (wrong) return { refusal: { kind: 'wish', ...wrong } };
    return { provider, scene };
  }

  /** What a begun payment's client was told to do lately, if it was told and in this scene. */
  function actionOf(payment: Payment, scene: string, now: number): ClientAction | undefined {
    const kept = keptOf(payment);
    if (kept?.scene !== scene || now - kept.at > actionFreshMs) return undefined;
    return kept.action;
  }

  /** Whether an open payment is what the buyer asks for, so that it is gone on with. */
  function isSame(payment: Payment, { provider, scene }: Chosen): boolean {
    if (payment.provider !== provider.name) return false;
    const kept = keptOf(payment);
    return !kept || kept.scene === scene;
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
    const ending = before && (await end(before, now));
    if (ending === 'captured' || ending === 'unknown') return { kind: ending };
    if (attempts.length >= attemptsMax) return { kind: 'too_many' };
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
    // Another tab was faster, and perhaps chose otherwise: asked again, this one sees it.
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
      // The buyer chose another way: that is no decline, which would cost them the units.
      await payments.record(
        facts.map((fact) => (fact.state === 'declined' ? { ...fact, reason: 'closed' } : fact)),
      );
      if (outcome.kind === 'captured') return 'captured';
      return outcome.kind === 'declined' ? 'ended' : 'unknown';
    } catch (error) {
      log.warn({ err: error, provider: payment.provider }, 'a payment could not be closed');
      return 'unknown';
    }
  }

  /** Begins a payment at its provider, or goes on with one whose beginning was never answered. */
  async function start(
    provider: PaymentProvider,
    wanted: { payment: Payment; charge: Charge; scene: string; now: number },
  ): Promise<Started> {
    try {
      const [outcome] = await provider.start([wanted.charge]);
      if (!outcome || outcome.kind === 'none') return { kind: 'unknown' };
      if (outcome.kind !== 'pending') return await recordAnswer(outcome, wanted);
      const { action, providerReference } = outcome;
      if (!action) return { kind: 'unknown' };
      return await keepAction(action, { ...wanted, providerReference });
    } catch (error) {
      log.warn({ err: error, provider: provider.name }, 'a payment could not be begun');
      return { kind: 'unknown' };
    }
  }

  /** The provider waits for the buyer, whose client is told what to do. */
  async function keepAction(
    action: ClientAction,
    begun: { payment: Payment; providerReference: string | undefined; scene: string; now: number },
  ): Promise<Started> {
    const { payment, providerReference, scene, now } = begun;
    const { reference } = payment;
    const kept: Kept = { scene, action, at: now };
    const known = { reference, providerReference, action: JSON.stringify(kept) };
    const [result] = await payments.record([{ ...known, state: 'started' }]);
    if (result?.state !== 'declined') return { kind: 'waiting', action };
    // Another request closed it before the provider knew it: what the provider has now is closed too.
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
    // Declined before the buyer saw it: they may still pay in another way.
    const isRefused = fact.state === 'declined';
    await payments.record([isRefused ? { ...fact, reason: 'closed' } : fact]);
    if (isRefused) return { kind: 'refused' };
    return { kind: fact.state === 'captured' ? 'captured' : 'unknown' };
  }

  return { choose, open, actionOf, end, start };
}

function keptOf({ action }: Payment): Kept | undefined {
  return action === null ? undefined : (JSON.parse(action) as Kept);
}

export type PaymentAttempts = ReturnType<typeof openPaymentAttempts>;
