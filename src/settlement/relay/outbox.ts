import type { Redis } from 'ioredis';
import { isOrderId, type LaneRef } from '../../domain/ids.ts';
import type { Order } from '../../domain/order.ts';
import { found, required } from '../../domain/required.ts';
import { laneKey } from '../../inventory/keys.ts';
import { isOfLane, isRedisError, redisErrorCodes } from '../../inventory/redis-errors.ts';
import { parseRecord } from '../../inventory/replies.ts';
import { parseWhole } from '../../inventory/reply-reader.ts';
import type { Adjustment } from '../../ledger/orders.ts';
import type { ParkedChange } from '../../ledger/parked-changes.ts';

/** The changes that one script call made, as its lane's outbox records them. */
export type OutboxEntry = {
  ref: LaneRef;
  id: string;
  changes: Change[];
};

/** A change of an entry, as it stands there and as it was read. */
export type Change = { raw: ParkedChange } & (
  | { kind: 'order'; order: Order }
  | { kind: 'adjustment'; adjustment: Adjustment }
  /** No script writes it. */
  | { kind: 'unreadable'; error: unknown }
);

type RawEntry = [id: string, fields: string[] | null];

export const relayGroup = 'relay';

/**
 * A script, since over `maxmemory` Redis refuses XGROUP CREATE, also for a group that exists: a relay that
 * starts then could not read the entries whose deletion frees memory.
 */
const createGroup = `#!lua flags=allow-oom
return redis.call('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')`;

export type Outbox = ReturnType<typeof openOutbox>;

/** Reads the outboxes of lanes as one consumer of the relay's consumer group. */
export function openOutbox(options: { redis: Redis; namespace: string; consumer: string }) {
  const { redis, namespace, consumer } = options;
  const keyOf = (ref: LaneRef) => laneKey(namespace, ref, 'outbox');

  function parseAll(ref: LaneRef, raw: RawEntry[]): OutboxEntry[] {
    return raw.map(([id, fields]) => parseEntry(ref, id, fields ?? []));
  }

  /** Creates the consumer group if there is none; it reads from the very first entry. */
  async function join(ref: LaneRef): Promise<void> {
    try {
      await redis.eval(createGroup, 1, keyOf(ref), relayGroup);
    } catch (error) {
      if (!isRedisError(error, redisErrorCodes.groupExists)) throw error;
    }
  }

  /** New entries of many lanes, at most `countMax` of each; waits up to `blockMs` ms for the first. */
  async function read(
    refs: readonly LaneRef[],
    { countMax, blockMs }: { countMax: number; blockMs: number },
  ): Promise<OutboxEntry[]> {
    const keys = refs.map(keyOf);
    const reply = (await redis.xreadgroup(
      ...(['GROUP', relayGroup, consumer, 'COUNT', countMax, 'BLOCK', blockMs] as const),
      'STREAMS',
      ...keys,
      ...keys.map(() => '>'),
    )) as [key: string, entries: RawEntry[]][] | null;
    if (!reply) return [];
    const byKey = new Map(keys.map((key, index) => [key, required(refs[index], 'lane')]));
    return reply.flatMap(([key, raw]) => parseAll(found(byKey, key, 'lane of the outbox'), raw));
  }

  /** Entries that this consumer has read before and not acknowledged, from `after` on. */
  async function readOwn(
    ref: LaneRef,
    { countMax, after }: { countMax: number; after: string },
  ): Promise<{ entries: OutboxEntry[]; next: string | undefined }> {
    const reply = (await redis.xreadgroup(
      ...(['GROUP', relayGroup, consumer, 'COUNT', countMax, 'STREAMS'] as const),
      keyOf(ref),
      after,
    )) as [key: string, entries: RawEntry[]][] | null;
    const raw = reply?.[0]?.[1] ?? [];
    return { entries: parseAll(ref, raw), next: raw.at(-1)?.[0] };
  }

  /** Takes over entries that any consumer has left unacknowledged for `idleMs`. */
  async function claim(
    ref: LaneRef,
    { countMax, idleMs, from }: { countMax: number; idleMs: number; from: string },
  ): Promise<{ entries: OutboxEntry[]; next: string | undefined }> {
    const [next, raw] = (await redis.xautoclaim(
      ...([keyOf(ref), relayGroup, consumer, idleMs, from, 'COUNT', countMax] as const),
    )) as [string, RawEntry[]];
    return { entries: parseAll(ref, raw), next: next === '0-0' ? undefined : next };
  }

  /**
   * Deletes entries from their streams and acknowledges them, in this order: an entry that a crash left
   * deleted and unacknowledged is read again as one without changes, while an acknowledged one that is
   * not deleted would stay for ever. A transaction would not do: over `maxmemory` Redis refuses every
   * command inside one, also these two, which free memory.
   */
  async function ack(entries: readonly OutboxEntry[]): Promise<void> {
    const ids = new Map<string, string[]>();
    for (const { ref, id } of entries) {
      const key = keyOf(ref);
      const of = ids.get(key);
      if (of) of.push(id);
      else ids.set(key, [id]);
    }
    await Promise.all(
      [...ids].flatMap(([key, of]) => [redis.xdel(key, ...of), redis.xack(key, relayGroup, ...of)]),
    );
  }

  /** The number of entries of these lanes that are not acknowledged. */
  async function backlog(refs: readonly LaneRef[]): Promise<number> {
    const lengths = await Promise.all(
      refs.map((ref) =>
        redis.xlen(keyOf(ref)).catch((error: unknown) => {
          // It has no entries that could be relayed; `broken_lane` tells of it.
          if (isOfLane(error)) return 0;
          throw error;
        }),
      ),
    );
    return lengths.reduce((sum, length) => sum + length, 0);
  }

  return { join, read, readOwn, claim, ack, backlog };
}

/** The last instant that a Date can have, ms since the epoch. */
const timeMax = 8.64e15;

/**
 * Parses an entry: `at`, then digest → record, or `adjust:<id>` → `item|delta|reason`. The format is
 * described in lua/README.md. What cannot be read is `unreadable`, and the rest of its entry is read.
 */
export function parseEntry(ref: LaneRef, id: string, fields: string[]): OutboxEntry {
  const { drop, lane } = ref;
  const hasTime = fields[0] === 'at';
  const given = hasTime ? Number(fields[1]) : 0;
  // The time that Redis gave the entry stands in for one that the entry does not have, or that is none.
  const at =
    Number.isInteger(given) && given > 0 && given <= timeMax ? given : Number.parseInt(id, 10);
  const changes: Change[] = [];
  for (let i = hasTime ? 2 : 0; i < fields.length; i += 2) {
    const [field = '', value = ''] = fields.slice(i, i + 2);
    changes.push(parseChange({ drop, lane, entry: id, place: i, at, field, value }));
  }
  return { ref, id, changes };
}

/** Reads one change of an entry. */
export function parseChange(raw: ParkedChange): Change {
  try {
    const { drop, lane, field, value } = raw;
    if (field.startsWith('adjust:')) {
      return { raw, kind: 'adjustment', adjustment: parseAdjustment(raw) };
    }
    const order = parseRecord({ drop, lane }, field, value);
    if (!isOrderId(order.id)) throw new Error(`bug: no digest of an order: ${field}`);
    return { raw, kind: 'order', order };
  } catch (error) {
    return { raw, kind: 'unreadable', error };
  }
}

function parseAdjustment({ drop, lane, at, field, value }: ParkedChange): Adjustment {
  const [item, delta, ...reason] = value.split('|');
  return {
    drop,
    lane,
    id: field.slice('adjust:'.length),
    item: parseWhole(item, 'an adjustment'),
    delta: parseWhole(delta, 'an adjustment'),
    reason: reason.join('|'),
    at,
  };
}
