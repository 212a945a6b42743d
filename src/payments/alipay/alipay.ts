import { type Clock, systemClock } from '../../domain/clock.ts';
import type {
  Charge,
  ClientWish,
  Outcome,
  PaymentProvider,
  PaymentRef,
  Refund,
  RefundOutcome,
} from '../provider.ts';
import { AlipaySettingsError, openGateway } from './gateway.ts';
import { answerMessage, readMessage } from './notification.ts';
import { actionOf, type Scene, scenes } from './order.ts';
import { giveBack } from './refunds.ts';
import { closeTrade, lookUpTrade } from './trade.ts';
import { amountMax } from './yuan.ts';

export type AlipayOptions = {
  appId: string;
  /** The merchant's own account, 2088 and twelve more digits. */
  sellerId: string;
  /** Ours, PEM. */
  privateKey: string;
  /** Alipay's, PEM. */
  alipayPublicKey: string;
  /** The gateway. */
  url: string;
  /** Where Alipay sends its notifications. */
  notifyUrl: string;
  timeoutMs?: number;
  clock?: Clock;
};

/** Calls at the gateway at once, for one batch. */
const callsMax = 16;
/** How long a charge counts as begun just now, by the caller. */
const freshMs = 10_000;
/** References that this process has dealt with, the last so many. */
const dealtMax = 10_000;
const addressMax = 256;

/**
 * Alipay for the pages of a shop (`page`, `wap`) and for its app. A payment is begun without a
 * word to Alipay: what the buyer gets is signed here, and the trade is made when they log in.
 */
export function openAlipay(options: AlipayOptions): PaymentProvider {
  const { appId, sellerId, timeoutMs = 5000, clock = systemClock } = options;
  const gateway = openGateway({ ...options, timeoutMs, clock });
  const dealt = new Map<string, 'offered' | 'closed'>();

  function remember(reference: string, how: 'offered' | 'closed'): void {
    dealt.delete(reference);
    dealt.set(reference, how);
    const [oldest] = dealt.size > dealtMax ? dealt.keys() : [];
    if (oldest !== undefined) dealt.delete(oldest);
  }

  async function start(charge: Charge): Promise<Outcome> {
    const { reference, amount, wish } = charge;
    if (amount < 1 || amount > amountMax)
      return { reference, kind: 'declined', reason: 'declined' };
    const known = isFresh(charge) ? undefined : await lookUpTrade(gateway, reference);
    if (known && known.kind !== 'none' && known.kind !== 'pending') return known;
    if (clock.now() >= charge.expiresAt || dealt.get(reference) === 'closed') {
      // Nobody can pay it any more, or nobody should; a trade still open is the caller's to close.
      return known?.kind === 'pending' ? known : { reference, kind: 'declined', reason: 'closed' };
    }
    remember(reference, 'offered');
    const scene = scenes.find((name) => name === wish.scene) ?? (scenes[0] as Scene);
    return { ...known, reference, kind: 'pending', action: actionOf(gateway, charge, scene) };
  }

  /**
   * Whether it can be offered without asking Alipay what became of it, which spares a call for
   * nearly every buyer: nobody logs in and pays within seconds of the beginning. Later, and when it
   * was offered or closed here before, a repeat must not offer what has ended.
   */
  function isFresh({ reference, startedAt }: Charge): boolean {
    return !dealt.has(reference) && Math.abs(clock.now() - startedAt) < freshMs;
  }

  async function close({ reference }: PaymentRef): Promise<Outcome> {
    remember(reference, 'closed');
    return await closeTrade(gateway, reference);
  }

  const unknown = ({ reference }: PaymentRef): Outcome => ({ reference, kind: 'unknown' });

  async function refund(refunds: readonly Refund[]): Promise<RefundOutcome[]> {
    // Alipay wants the refunds of one trade apart, so those go one after the other.
    const trades = Map.groupBy(refunds, ({ payment }) => payment.reference);
    const outcomes = await forEach(
      [...trades.values()],
      async (group) => {
        const done: RefundOutcome[] = [];
        for (const one of group) done.push(await giveBack(gateway, one));
        return done;
      },
      (group) => group.map(({ refundReference }) => ({ refundReference, kind: 'unknown' })),
    );
    return outcomes.flat();
  }

  return {
    name: 'alipay',
    startedBy: 'buyer',
    takes: (currency) => currency === 'CNY',
    scenes,
    refuseWish,
    start: (charges) => forEach(charges, start, unknown),
    lookUp: (payments) =>
      forEach(payments, ({ reference }) => lookUpTrade(gateway, reference), unknown),
    close: (payments) => forEach(payments, close, unknown),
    refund,
    readNotification: async (raw) =>
      readMessage(raw, { appId, sellerId, isSigned: gateway.isSigned, now: () => clock.now() }),
    answerNotification: answerMessage,
  };
}

function refuseWish({
  scene,
  returnUrl,
}: ClientWish): ReturnType<NonNullable<PaymentProvider['refuseWish']>> {
  if (scene !== undefined && !scenes.some((name) => name === scene)) {
    return { field: 'scene', reason: `must be one of ${scenes.join(', ')}` };
  }
  if (returnUrl === undefined) return undefined;
  const isWeb = /^https?:$/.test(URL.parse(returnUrl)?.protocol ?? '');
  if (isWeb && returnUrl.length <= addressMax) return undefined;
  return {
    field: 'returnUrl',
    reason: `must be a web address of at most ${addressMax} characters`,
  };
}

/**
 * Answers every member, some at a time. A member that Alipay gave no answer for because of our
 * settings is `unknown` like others, but when that befalls all of them the caller is told why.
 */
async function forEach<T, R>(
  members: readonly T[],
  answer: (member: T) => Promise<R>,
  unanswered: (member: T) => R,
): Promise<R[]> {
  const answers: R[] = [];
  const refusals: AlipaySettingsError[] = [];
  const left = [...members.entries()];
  async function work(): Promise<void> {
    for (let next = left.pop(); next; next = left.pop()) {
      const [index, member] = next;
      try {
        answers[index] = await answer(member);
      } catch (error) {
        if (!(error instanceof AlipaySettingsError)) throw error;
        refusals.push(error);
        answers[index] = unanswered(member);
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(callsMax, members.length) }, work));
  if (refusals[0] && refusals.length === members.length) throw refusals[0];
  return answers;
}
