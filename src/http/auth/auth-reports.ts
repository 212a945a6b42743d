import type { Clock } from '../../domain/clock.ts';
import type { Logger } from '../../log.ts';
import type { Metrics } from '../../metrics.ts';
import { throttleLog } from '../../payments/log-throttle.ts';
import type { KeySetEvent } from './jwks.ts';
import { type CredentialRefusal, refusalReasons } from './refused.ts';

const callers = ['buyer', 'merchant', 'operator'] as const;
export type Caller = (typeof callers)[number];

export type AuthReports = ReturnType<typeof openAuthReports>;

/** A guesser makes thousands of refusals; the log gets one line for each kind in this time. */
const logEveryMs = 10_000;

/** Counts and logs refused credentials, and what becomes of the identity service's keys. */
export function openAuthReports({
  log,
  metrics,
  clock,
}: {
  log: Pick<Logger, 'info' | 'warn' | 'error'>;
  metrics: Pick<Metrics, 'counts' | 'countsBy'>;
  clock: Clock;
}) {
  const refusals = metrics.countsBy({
    name: 'unauthorized_total',
    help: 'Requests with refused credentials, by the kind of caller that was needed and the reason',
    labels: ['caller', 'reason'],
    series: callers.flatMap((caller) => refusalReasons.map((reason) => [caller, reason])),
  });
  const fetches = metrics.counts({
    name: 'key_set_fetches_total',
    help: "Fetches of the identity service's keys by outcome",
    label: 'outcome',
    values: ['fetched', 'failed', 'given_up'],
  });
  const writers = new Map<string, (message: string) => void>();

  function warn(kind: string, message: string): void {
    const known = writers.get(kind);
    const write = known ?? throttleLog((text) => log.warn(text), clock, logEveryMs);
    if (!known) writers.set(kind, write);
    write(message);
  }

  return {
    onRefused(caller: Caller, { reason, description }: CredentialRefusal, address: string): void {
      refusals.add([caller, reason]);
      // A client without credentials is told that it needs some, and is no news.
      if (reason === 'missing') return;
      warn(
        `${caller} ${description}`,
        `credentials of a ${caller} refused: ${description}; last from ${address}`,
      );
    },

    onKeySet(event: KeySetEvent): void {
      fetches.add(event.kind);
      if (event.kind === 'failed') {
        const { error, ageMs } = event;
        const cause = error.cause instanceof Error ? ` (${error.cause.message})` : '';
        const kept = Number.isFinite(ageMs)
          ? `the keys of ${Math.round(ageMs / 1_000)} s ago stay in use`
          : 'no token is accepted';
        warn(
          'keys',
          `fetching the keys for buyers' tokens failed: ${error.message}${cause}; ${kept}`,
        );
      } else if (event.kind === 'given_up') {
        log.error(
          { lost: event.lost, ageMs: event.ageMs },
          "buyers' tokens are refused: their keys could not be fetched for an hour",
        );
      } else if (event.lost > 0 || event.usable === 0) {
        log.warn({ ...event }, "keys for buyers' tokens withdrawn");
      }
    },
  };
}
