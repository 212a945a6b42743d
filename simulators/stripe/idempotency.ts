import { keyReused, StripeRefusal } from './refusals.ts';

export type Answer = { status: number; body: unknown };

type Kept = Answer & { path: string; parameters: string };

/**
 * Idempotency keys as in version 1 of Stripe's API
 * (https://docs.stripe.com/api/idempotent_requests): the first answer under a key is given again, an
 * error too, unless the parameters did not validate. Stripe forgets keys after a day at the
 * earliest; this simulator when it stops.
 */
export function openIdempotency() {
  const kept = new Map<string, Kept>();

  function replay(known: Kept, asked: { path: string; parameters: string; key: string }): Kept {
    if (known.path !== asked.path) {
      throw keyReused(
        `Keys for idempotent requests can only be used for the same endpoint they were first used for ('${known.path}' vs '${asked.path}'). Try using a key other than '${asked.key}' if you meant to execute a different request.`,
      );
    }
    if (known.parameters !== asked.parameters) {
      throw keyReused(
        `Keys for idempotent requests can only be used with the same parameters they were first used with. Try using a key other than '${asked.key}' if you meant to execute a different request.`,
      );
    }
    return known;
  }

  return {
    isKept: (key: string) => kept.has(key),
    once(asked: { key: string; path: string; parameters: string }, run: () => unknown): Answer {
      const known = kept.get(asked.key);
      if (known) return replay(known, asked);
      const { key, ...rest } = asked;
      try {
        const answer = { status: 200, body: run() };
        kept.set(key, { ...answer, ...rest });
        return answer;
      } catch (error) {
        if (error instanceof StripeRefusal && error.isKept) {
          kept.set(key, { status: error.status, body: error.body, ...rest });
        }
        throw error;
      }
    },
  };
}
