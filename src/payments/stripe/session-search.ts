import type { Stripe } from 'stripe';
import type { PaymentRef } from '../provider.ts';
import { failureOf } from './failures.ts';
import { createWithinMs } from './session-requests.ts';

const skewMs = 5 * 60_000;
const pageSize = 100;
const pagesMax = 50;

/** `absent` only when every session of the time in question was seen. */
export type Found = { id: string } | 'absent' | 'unknown';

/**
 * Finds the sessions of payments whose session ids never reached us. Stripe cannot be asked by our
 * reference (its search does not cover sessions and lags besides), so the sessions created around
 * the payments' beginnings are listed, once for the whole batch.
 */
export async function findSessions(
  client: Stripe,
  payments: readonly PaymentRef[],
): Promise<Map<string, Found>> {
  const missing = new Set(payments.map(({ reference }) => reference));
  const found = new Map<string, Found>();
  if (missing.size === 0) return found;
  let isWhole: boolean;
  try {
    isWhole = await eachSession(client, windowOf(payments), ({ id, client_reference_id }) => {
      if (client_reference_id !== null && missing.delete(client_reference_id)) {
        found.set(client_reference_id, { id });
      }
      return missing.size > 0;
    });
  } catch (error) {
    failureOf(error);
    isWhole = false;
  }
  for (const reference of missing) found.set(reference, isWhole ? 'absent' : 'unknown');
  return found;
}

/** None is created later than `createWithinMs` after its payment began; the clocks may differ. */
function windowOf(payments: readonly PaymentRef[]): Stripe.RangeQueryParam {
  const begun = payments.map(({ startedAt }) => startedAt);
  return {
    gte: Math.floor((Math.min(...begun) - skewMs) / 1000),
    lte: Math.ceil((Math.max(...begun) + createWithinMs + skewMs) / 1000),
  };
}

/** Stripe lists the newest first. Answers whether `see` was content or everything was seen. */
async function eachSession(
  client: Stripe,
  created: Stripe.RangeQueryParam,
  see: (session: Stripe.Checkout.Session) => boolean,
): Promise<boolean> {
  let after: { starting_after?: string } = {};
  for (let page = 1; page <= pagesMax; page += 1) {
    const { data, has_more } = await client.checkout.sessions.list({
      created,
      limit: pageSize,
      ...after,
    });
    for (const session of data) if (!see(session)) return true;
    const last = data.at(-1);
    if (!has_more || !last) return true;
    after = { starting_after: last.id };
  }
  return false;
}
