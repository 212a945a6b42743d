import { hostname } from 'node:os';
import { setTimeout as wait } from 'node:timers/promises';
import type { LaneRef, OrderId } from '../../domain/ids.ts';
import type { ActiveDrops } from '../../drops/active-drops.ts';
import { connectHot } from '../../inventory/redis-connections.ts';
import { isRedisError, redisErrorCodes } from '../../inventory/redis-errors.ts';
import type { Orders } from '../../ledger/orders.ts';
import type { Log } from '../../log.ts';
import { openBackOff } from '../../scheduling/backoff.ts';
import { openInterval, type RunResult } from '../../scheduling/interval.ts';
import { type OnCount, openCounters } from '../metrics/counters.ts';
import type { SettleQueue } from '../queue/settle-queue.ts';
import { type Outbox, type OutboxEntry, openOutbox } from './outbox.ts';

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
  /** Reads of an entry that cannot be parsed; one entry may count several times. */
  'malformed',
] as const;
export type RelayCount = (typeof relayCounts)[number];

export type RelayStep = 'relay recorded' | 'relay queued';

export type RelayOptions = {
  redisUrl: string;
  namespace: string;
  activeDrops: ActiveDrops;
  orders: Orders;
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
const backOffMs = openBackOff({ firstMs: 50, mostMs: 5_000 });

/**
 * Copies the entries of the lanes' outboxes to the ledger and to the settlement queue. An entry is
 * acknowledged when both have it. Both accept it twice, so a crash at any point repeats work and loses
 * none, and two relays share the entries.
 */
export function openRelay(options: RelayOptions): Relay {
  const { activeDrops, orders, queue, log, claimIdleMs = 5_000, onStep } = options;
  const counters = openCounters(relayCounts, options.onCount);
  const redis = connectHot(options.redisUrl, { timeoutMs: commandTimeoutMs });
  const outbox: Outbox = openOutbox({
    redis,
    namespace: options.namespace,
    consumer: options.consumer ?? hostname(),
    onMalformed({ ref, id, error }) {
      counters.add('malformed');
      log.error({ err: error, ref, id }, 'outbox entry cannot be read: it stays pending');
    },
  });
  const joined = new Set<string>();
  let claimAt = 0;

  // A server that was down may come back without its data: join every lane again.
  redis.on('close', () => joined.clear());
  redis.on('error', (error) => log.warn({ err: error }, 'Redis connection of the relay failed'));

  /** Reads once and delivers the entries. The read itself waits for entries, so no pause follows. */
  async function relayOnce(): Promise<RunResult> {
    if (redis.status !== 'ready') return { pauseMs: notReadyMs };
    const refs = activeDrops.lanes();
    if (refs.length === 0) return { pauseMs: blockMs };
    for (const ref of refs) await joinOnce(ref);
    if (performance.now() >= claimAt) {
      for (const ref of refs) await claimStale(ref);
      claimAt = performance.now() + claimIdleMs;
    }
    const countMax = Math.max(1, Math.min(laneEntriesMax, Math.ceil(readEntriesMax / refs.length)));
    const entries = await outbox.read(refs, { countMax, blockMs });
    for (const batch of portions(entries)) await deliver(batch);
    return { pauseMs: 0 };
  }

  async function joinOnce(ref: LaneRef): Promise<void> {
    const name = `${ref.drop}:${ref.lane}`;
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
        await orders.upsert(
          entries.flatMap(({ orders, at }) => orders.map((order) => ({ order, at }))),
          {
            adjustments: entries.flatMap((entry) => entry.adjustments),
            positions: entries.map(({ ref, id }) => ({ ...ref, last: id })),
          },
        );
        await onStep?.('relay recorded');
        await queue.add(toSettle(entries));
        await onStep?.('relay queued');
        await outbox.ack(entries);
        counters.add('batches');
        counters.add('entries', entries.length);
        for (const entry of entries) counters.add('orders', entry.orders.length);
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

/**
 * Splits entries into batches small enough that one statement does not delay the ledger's other users.
 */
function* portions(entries: readonly OutboxEntry[]): Generator<OutboxEntry[]> {
  let batch: OutboxEntry[] = [];
  let size = 0;
  for (const entry of entries) {
    batch.push(entry);
    size += entry.orders.length;
    if (size < batchOrdersMax) continue;
    yield batch;
    [batch, size] = [[], 0];
  }
  if (batch.length > 0) yield batch;
}

/** The orders that are reserved after these entries; the others need no payment. */
function toSettle(entries: readonly OutboxEntry[]): OrderId[] {
  const latest = new Map<OrderId, { version: number; reserved: boolean }>();
  for (const { id, version, state } of entries.flatMap((entry) => entry.orders)) {
    if ((latest.get(id)?.version ?? 0) < version) {
      latest.set(id, { version, reserved: state === 'reserved' });
    }
  }
  return [...latest].flatMap(([id, { reserved }]) => (reserved ? [id] : []));
}
