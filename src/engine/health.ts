import type { Redis } from 'ioredis';
import type { Health } from '../http/ops/readiness.ts';
import type { Ledger } from '../ledger/ledger.ts';

/** How long an answer counts, and after how long without one the store is asked again; ms. */
const answerMs = 1_000;
const patienceMs = 5_000;

/**
 * Asks the stores whether they take writes, by a write: a server that became read-only still answers
 * PING and `select 1`. However often it is asked, each store gets one small write a second.
 */
export function openHealth(options: {
  redis: Redis;
  namespace: string;
  ledger: Pick<Ledger, 'database'>;
}): Health {
  const { redis, namespace, ledger } = options;
  const writeToRedis = onceASecond(() => redis.set(`${namespace}:readiness`, Date.now()));
  const writeToLedger = onceASecond(() =>
    ledger.database.query(
      `insert into readiness (id, checked_at) values (1, $1)
       on conflict (id) do update set checked_at = excluded.checked_at`,
      [Date.now()],
    ),
  );
  return {
    async redis() {
      // A lost connection is known at once, whatever the last answer was.
      if (redis.status !== 'ready') throw new Error('there is no connection to Redis');
      await writeToRedis();
    },
    ledger: writeToLedger,
  };
}

/** Runs a check at most once a second, one at a time; a call between gets the last result. */
function onceASecond(check: () => Promise<unknown>): () => Promise<unknown> {
  let last: Promise<unknown> | undefined;
  let isOver = false;
  let since = 0;
  return () => {
    const ageMs = performance.now() - since;
    if (last && ageMs < (isOver ? answerMs : patienceMs)) return last;
    since = performance.now();
    isOver = false;
    const asked = check().finally(() => {
      if (asked === last) isOver = true;
    });
    last = asked;
    return asked;
  };
}
