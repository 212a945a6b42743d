import type { Redis } from 'ioredis';
import type { Health, StoreHealth } from '../http/ops/readiness.ts';
import { isCommandTimeout } from '../inventory/redis-errors.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { withDeadline } from '../scheduling/deadline.ts';

/** How long an answer of a store counts; ms. */
const keptMs = 1_000;
/** How long whoever asks waits for the store. Monitors give up after a second. */
const waitMsMax = 500;
/** A store that answers later than this, ms, is down; one that takes less is busy. */
const silentMsMax = 5_000;

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
  const askRedis = openStoreCheck({
    write: () => redis.set(`${namespace}:readiness`, Date.now()),
    isSilence: isCommandTimeout,
  });
  const askLedger = openStoreCheck({
    write: () =>
      ledger.database.query(
        `insert into readiness (id, checked_at) values (1, $1)
         on conflict (id) do update set checked_at = excluded.checked_at`,
        [Date.now()],
      ),
  });
  return {
    async redis() {
      const { takesWrites, ageMs } = await askRedis();
      // A lost connection is known at once, whatever the last answer was.
      return { takesWrites: takesWrites && redis.status === 'ready', ageMs };
    },
    ledger: askLedger,
  };
}

/**
 * Asks one store, which takes no writes before the first that succeeds. A write that fails shows at once.
 * One without an answer does not for 5 s: under load a store may be busy for seconds, and a process that
 * every balancer drops then sells nothing at all. It begins when somebody asks, and so do its 5 s.
 */
export function openStoreCheck(options: {
  write(): Promise<unknown>;
  /** Whether a write timed out instead of being refused. */
  isSilence?: ((error: unknown) => boolean) | undefined;
  /** A monotonic clock, ms. */
  now?: (() => number) | undefined;
}): () => Promise<StoreHealth> {
  const { write, isSilence = () => false, now = () => performance.now() } = options;
  let newest: { since: number; answer: Promise<void>; isOver: boolean } | undefined;
  let answeredAt = Number.NEGATIVE_INFINITY;
  let succeededAt: number | undefined;
  let silentSince: number | undefined;
  let isRefused = false;

  function begin(): void {
    const since = now();
    silentSince ??= since;
    const mine = { since, answer: Promise.resolve(), isOver: false };
    newest = mine;
    mine.answer = write().then(
      () => end('taken'),
      (error) => end(isSilence(error) ? 'silent' : 'refused'),
    );

    function end(outcome: 'taken' | 'refused' | 'silent'): void {
      mine.isOver = true;
      // An older write may fail on a connection that was lost long ago.
      if (mine !== newest || outcome === 'silent') return;
      answeredAt = now();
      silentSince = undefined;
      isRefused = outcome === 'refused';
      if (!isRefused) succeededAt = answeredAt;
    }
  }

  /** A write that hangs is left alone after a while: the next one may get another connection. */
  function isDue(): boolean {
    if (newest && !newest.isOver) return now() - newest.since >= silentMsMax;
    return now() - answeredAt >= keptMs;
  }

  return async () => {
    if (isDue()) begin();
    if (newest && !newest.isOver) await withDeadline(newest.answer, waitMsMax);
    const at = now();
    const isSilent = silentSince !== undefined && at - silentSince >= silentMsMax;
    const ageMs = succeededAt === undefined ? undefined : Math.round(at - succeededAt);
    const takesWrites = succeededAt !== undefined && !isRefused && !isSilent;
    return { takesWrites, ageMs };
  };
}
