import type { Payments } from '../ledger/payments/payments.ts';
import type { Payment } from '../ledger/payments/row.ts';
import type { Log } from '../log.ts';
import type {
  Charge,
  ClientAction,
  ClientWish,
  PaymentProvider,
  Providers,
} from '../payments/provider.ts';
import { refOf, resultsOf } from '../settlement/settle/provider-calls.ts';

/** How a buyer asks to pay: by which provider, and in which of its ways. */
export type Choice = { method: string; wish: ClientWish };

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

/** What is kept of a begun payment, so that asking again gives the same answer. */
type Kept = { scene: string; action: ClientAction; at: number };

const pollFirstMsDefault = 3_000;
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

  function choose(
    { method, wish }: Choice,
    currency: string,
  ): { provider: PaymentProvider; scene: string } | { refusal: Refusal } {
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
  function isSame(payment: Payment, { method, scene }: { method: string; scene: string }): boolean {
    if (payment.provider !== method) return false;
    const kept = keptOf(payment);
    return !kept || kept.scene === scene;
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
    const { payment, charge, scene, now } = wanted;
    const { reference } = payment;
    try {
      const [outcome] = await provider.start([charge]);
      if (outcome?.kind === 'pending' && outcome.action) {
        const { action, providerReference } = outcome;
        const kept: Kept = { scene, action, at: now };
        const known = { reference, providerReference, action: JSON.stringify(kept) };
        const [result] = await payments.record([{ ...known, state: 'started' }]);
        if (result?.state !== 'declined') return { kind: 'waiting', action };
        // Somebody closed it before the provider had heard of it: what is there now is closed too.
        await end({ ...payment, ...result }, now);
        return { kind: 'unknown' };
      }
      if (!outcome || outcome.kind === 'none' || outcome.kind === 'pending') {
        return { kind: 'unknown' };
      }
      const [fact] = resultsOf(outcome, { payment, now, byBuyer: true });
      if (!fact) return { kind: 'unknown' };
      // Declined before the buyer saw it: they may still pay in another way.
      const isRefused = fact.state === 'declined';
      await payments.record([isRefused ? { ...fact, reason: 'closed' } : fact]);
      if (isRefused) return { kind: 'refused' };
      return { kind: fact.state === 'captured' ? 'captured' : 'unknown' };
    } catch (error) {
      log.warn({ err: error, provider: provider.name }, 'a payment could not be begun');
      return { kind: 'unknown' };
    }
  }

  return {
    choose,
    actionOf,
    isSame,
    end,
    start,
    /** When the provider is first asked about a payment: at the latest when it is to be closed. */
    firstPollAt: ({ now, until }: { now: number; until: number }) =>
      Math.min(now + pollFirstMs, until),
  };
}

function keptOf({ action }: Payment): Kept | undefined {
  return action === null ? undefined : (JSON.parse(action) as Kept);
}

export type PaymentAttempts = ReturnType<typeof openPaymentAttempts>;
