import { hostname } from 'node:os';
import { setTimeout as wait } from 'node:timers/promises';
import type { LaneRef, OrderId } from '../../domain/ids.ts';
import type { ActiveDrops } from '../../drops/active-drops.ts';
import { connectHot } from '../../inventory/redis-connections.ts';
import {
  isOfLane,
  isOutOfMemory,
  isRedisError,
  redisErrorCodes,
} from '../../inventory/redis-errors.ts';
import type { Log } from '../../log.ts';
import { openBackOff } from '../../scheduling/backoff.ts';
import { openInterval, type RunResult } from '../../scheduling/interval.ts';
import { type OnCount, openCounters } from '../metrics/counters.ts';
import type { SettleQueue } from '../queue/settle-queue.ts';
import { type Outbox, type OutboxEntry, openOutbox } from './outbox.ts';
import type { RecordChanges } from './record-changes.ts';

export type Relay = {
  start(): void;
  /** Finishes the running batch; the next relay reads what is not acknowledged. */
  stop(): Promise<void>;
  /** Entries that wait to be relayed, over all active lanes. */
  backlog(): Promise<number>;
  counts(): Record<RelayCount, number>;
};

export const relayCounts = [
  'entries',
  'orders',
  'batches',
  /** Batches retried because the ledger, the queue or Redis was down. */
  'retries',
  /** Entries taken over from a relay that died. */
  'claimed',
  /** Changes that cannot be read; they are parked. */
  'malformed',
  /** Changes that cannot be read or that the ledger refuses, set aside in the ledger. */
  'parked',
  /** Entries acknowledged without a job, since Redis had no memory for one: the redrive settles them. */
  'unqueued',
  /** Visits of a lane whose outbox cannot be read; the other lanes go on. */
  'broken_lane',
] as const;
export type RelayCount = (typeof relayCounts)[number];

export type RelayStep = 'relay recorded' | 'relay queued';

export type RelayOptions = {
  redisUrl: string;
  namespace: string;
  activeDrops: ActiveDrops;
  recordChanges: Pick<RecordChanges, 'record'>;
  queue: SettleQueue;
  log: Log;
  /** Called for each lane before its first read, and again after Redis was down. */
  onJoin?(ref: LaneRef): Promise<void>;
  /**
   * Stays the same over a restart, so that the relay continues with its unacknowledged entries at once.
   */
  consumer?: string;
  claimIdleMs?: number | undefined;
  onCount?: OnCount<RelayCount>;
  onStep?: ((step: RelayStep) => void | Promise<void>) | undefined;
};

/** Entries that one read takes of one lane and of all; an entry has the changes of one script call. */
const laneEntriesMax = 64;
const readEntriesMax = 512;
/** Orders written to the ledger in one statement; the last entry of a batch may exceed it. */
const batchOrdersMax = 2_000;
const blockMs = 200;
const commandTimeoutMs = 5_000;
const notReadyMs = 50;
/** The pause before a lane whose outbox cannot be read is tried again. */
const brokenPauseMs = 5_000;
const backOffMs = openBackOff({ firstMs: 50, mostMs: 5_000 });

/**
 * Copies the entries of the lanes' outboxes to the ledger and to the settlement queue. An entry is
 * acknowledged when both have it. Both accept it twice, so a crash at any point repeats work and loses
 * none, and two relays share the entries.
 */
export function openRelay(options: RelayOptions): Relay {
  const { activeDrops, recordChanges, queue, log, claimIdleMs = 5_000, onStep } = options;
  const counters = openCounters(relayCounts, options.onCount);
  const redis = connectHot(options.redisUrl, { timeoutMs: commandTimeoutMs });
  const outbox: Outbox = openOutbox({
    redis,
    namespace: options.namespace,
    consumer: options.consumer ?? hostname(),
  });
  const joined = new Set<string>();
  /** By lane, on the monotonic clock, ms. */
  const brokenUntil = new Map<string, number>();
  let claimAt = 0;

  // A server that was down may come back without its data: join every lane again.
  redis.on('close', () => joined.clear());
  redis.on('error', (error) => log.warn({ err: error }, 'Redis connection of the relay failed'));

  /** Reads once and delivers the entries. The read itself waits for entries, so no pause follows. */
  async function relayOnce(): Promise<RunResult> {
    if (redis.status !== 'ready') return { pauseMs: notReadyMs };
    const refs = activeDrops.lanes();
    if (refs.length === 0) return { pauseMs: blockMs };
    let sound = await eachSound(refs, joinOnce);
    if (performance.now() >= claimAt) {
      sound = await eachSound(sound, claimStale);
      claimAt = performance.now() + claimIdleMs;
    }
    if (sound.length === 0) return { pauseMs: blockMs };
    const share = Math.ceil(readEntriesMax / sound.length);
    const countMax = Math.max(1, Math.min(laneEntriesMax, share));
    const entries = await outbox.read(sound, { countMax, blockMs });
    for (const batch of portions(entries)) await deliver(batch);
    return { pauseMs: 0 };
  }

  /**
   * Calls `visit` for each lane, and leaves out those whose keys are not what a lane's keys are: they
   * must not stop the others.
   * @returns the lanes that were visited
   */
  async function eachSound(
    refs: readonly LaneRef[],
    visit: (ref: LaneRef) => Promise<void>,
  ): Promise<LaneRef[]> {
    const sound: LaneRef[] = [];
    for (const ref of refs) {
      const name = nameOf(ref);
      if ((brokenUntil.get(name) ?? 0) > performance.now()) continue;
      try {
        await visit(ref);
        brokenUntil.delete(name);
        sound.push(ref);
      } catch (error) {
        if (!isOfLane(error)) throw error;
        joined.delete(name);
        brokenUntil.set(name, performance.now() + brokenPauseMs);
        counters.add('broken_lane');
        log.error(
          { err: error, ...ref },
          'outbox of a lane cannot be read: the others are relayed',
        );
      }
    }
    return sound;
  }

  async function joinOnce(ref: LaneRef): Promise<void> {
    const name = nameOf(ref);
    if (joined.has(name)) return;
    await outbox.join(ref);
    await options.onJoin?.(ref);
    let after: string | undefined = '0';
    while (after !== undefined && !interval.signal.aborted) {
      const own: Awaited<ReturnType<Outbox['readOwn']>> = await outbox.readOwn(ref, {
        countMax: laneEntriesMax,
        after,
      });
      await deliver(own.entries);
      after = own.next;
    }
    joined.add(name);
  }

  async function claimStale(ref: LaneRef): Promise<void> {
    let from: string | undefined = '0-0';
    while (from !== undefined && !interval.signal.aborted) {
      const stale: Awaited<ReturnType<Outbox['claim']>> = await outbox.claim(ref, {
        countMax: laneEntriesMax,
        idleMs: claimIdleMs,
        from,
      });
      counters.add('claimed', stale.entries.length);
      await deliver(stale.entries);
      from = stale.next;
    }
  }

  /** Writes to the ledger, then the queue, then acknowledges; retries until all three are done. */
  async function deliver(entries: readonly OutboxEntry[]): Promise<void> {
    if (entries.length === 0) return;
    for (let tries = 1; !interval.signal.aborted; tries += 1) {
      try {
        const { toSettle, unreadable, parked } = await recordChanges.record(entries);
        counters.add('malformed', unreadable);
        counters.add('parked', parked);
        await onStep?.('relay recorded');
        await enqueue(toSettle);
        await onStep?.('relay queued');
        await outbox.ack(entries);
        counters.add('batches');
        counters.add('entries', entries.length);
        counters.add('orders', ordersIn(entries));
        return;
      } catch (error) {
        counters.add('retries');
        log.warn(
          { err: error, entries: entries.length, tries },
          'delivery of outbox entries failed: it is retried',
        );
        await pause(backOffMs(tries));
      }
    }
  }

  /**
   * Queues orders to be settled. While Redis has no memory for jobs the entries are acknowledged all the
   * same, which frees memory: the ledger has the orders, and the redrive settles them from there.
   */
  async function enqueue(ids: readonly OrderId[]): Promise<void> {
    try {
      await queue.add(ids);
    } catch (error) {
      if (!isOutOfMemory(error)) throw error;
      counters.add('unqueued', ids.length);
      log.warn(
        { err: error, orders: ids.length },
        'orders are not queued: the redrive settles them',
      );
    }
  }

  const interval = openInterval({
    run: relayOnce,
    everyMs: 0,
    failurePauseMs: backOffMs,
    onError(error, failures) {
      if (interval.signal.aborted) return;
      joined.clear();
      // A lane's stream is gone or new: the next join creates the group.
      if (isRedisError(error, redisErrorCodes.noGroup)) return;
      log.warn({ err: error, failures }, 'reading the outbox failed');
    },
  });

  const pause = (ms: number) =>
    wait(ms, undefined, { signal: interval.signal }).catch(() => undefined);

  return {
    start: interval.start,
    async stop() {
      await interval.stop();
      redis.disconnect();
    },
    backlog: () => outbox.backlog(activeDrops.lanes()),
    counts: counters.read,
  };
}

const nameOf = ({ drop, lane }: LaneRef) => `${drop}:${lane}`;

/**
 * Splits entries into batches small enough that one statement does not delay the ledger's other users.
 */
function* portions(entries: readonly OutboxEntry[]): Generator<OutboxEntry[]> {
  let batch: OutboxEntry[] = [];
  let size = 0;
  for (const entry of entries) {
    batch.push(entry);
    size += entry.changes.length;
    if (size < batchOrdersMax) continue;
    yield batch;
    [batch, size] = [[], 0];
  }
  if (batch.length > 0) yield batch;
}

function ordersIn(entries: readonly OutboxEntry[]): number {
  return entries.flatMap(({ changes }) => changes).filter(({ kind }) => kind === 'order').length;
}
