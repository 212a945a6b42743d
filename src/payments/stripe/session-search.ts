import type { Stripe } from 'stripe';
import type { PaymentRef } from '../provider.ts';
import type { FailureOf } from './failures.ts';
import { createWithinMs } from './session-requests.ts';

/** When a session may have been created, from its payment's beginning; earlier because clocks differ. */
type Window = { earlierMs: number; laterMs: number };

/** `near` has nearly all sessions, `whole` all: none is created later than `createWithinMs`. */
const near: Window = { earlierMs: 10_000, laterMs: 30_000 };
const whole: Window = { earlierMs: 60_000, laterMs: createWithinMs + 60_000 };

const pageSize = 100;
const pagesMax = 150;

/** `absent` only when all sessions of the window were listed. */
export type Found = { id: string } | 'absent' | 'unknown';

/**
 * Finds the sessions of payments whose session ids never reached us. Stripe cannot search sessions by
 * our reference, so the sessions created around the payments' beginnings are listed, once for all
 * payments that began at about the same time.
 */
export async function findSessions(
  stripe: { client: Stripe; failureOf: FailureOf },
  payments: readonly PaymentRef[],
): Promise<Map<string, Found>> {
  const found = new Map<string, Found>();
  for (const window of [near, whole]) {
    const missing = payments.filter(({ reference }) => typeof found.get(reference) !== 'object');
    for (const group of groupsOf(missing, window)) await search(stripe, group, { window, found });
  }
  return found;
}

async function search(
  { client, failureOf }: { client: Stripe; failureOf: FailureOf },
  group: readonly PaymentRef[],
  { window, found }: { window: Window; found: Map<string, Found> },
): Promise<void> {
  const missing = new Set<string>(group.map(({ reference }) => reference));
  let isComplete = false;
  try {
    isComplete = await eachSession(
      client,
      rangeOf(group, window),
      ({ id, client_reference_id }) => {
        if (client_reference_id !== null && missing.delete(client_reference_id)) {
          found.set(client_reference_id, { id });
        }
        return missing.size > 0;
      },
    );
  } catch (error) {
    failureOf(error);
  }
  for (const reference of missing) found.set(reference, isComplete ? 'absent' : 'unknown');
}

/** Groups payments whose windows overlap: no session is listed twice, and no time without payments. */
function groupsOf(payments: readonly PaymentRef[], { earlierMs, laterMs }: Window): PaymentRef[][] {
  const groups: PaymentRef[][] = [];
  let last = Number.NEGATIVE_INFINITY;
  for (const payment of payments.toSorted((one, other) => one.startedAt - other.startedAt)) {
    if (payment.startedAt - last > earlierMs + laterMs) groups.push([]);
    groups.at(-1)?.push(payment);
    last = payment.startedAt;
  }
  return groups;
}

function rangeOf(group: readonly PaymentRef[], window: Window): Stripe.RangeQueryParam {
  const begun = group.map(({ startedAt }) => startedAt);
  return {
    gte: Math.floor((Math.min(...begun) - window.earlierMs) / 1000),
    lte: Math.ceil((Math.max(...begun) + window.laterMs) / 1000),
  };
}

/**
 * Calls `see` for each session, newest first, until it gives false.
 * @returns false when there were more sessions than are listed
 */
async function eachSession(
  client: Stripe,
  created: Stripe.RangeQueryParam,
  see: (session: Stripe.Checkout.Session) => boolean,
): Promise<boolean> {
  const request: Stripe.Checkout.SessionListParams = { created, limit: pageSize };
  for (let page = 1; page <= pagesMax; page += 1) {
    const { data, has_more } = await client.checkout.sessions.list(request);
    for (const session of data) if (!see(session)) return true;
    const last = data.at(-1);
    if (!has_more || !last) return true;
    request.starting_after = last.id;
  }
  return false;
}
