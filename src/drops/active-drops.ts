import { setTimeout as wait } from 'node:timers/promises';
import type { LaneRef } from '../domain/ids.ts';
import { lanesOf } from '../inventory/lanes.ts';
import type { Drops, StoredDrop } from '../ledger/drops.ts';
import type { Log } from '../log.ts';

/** The drops whose lanes the relay and the sweepers read: published once and not retired yet. */
export type ActiveDrops = {
  /** Resolves when the list was read once. A failed read is logged, never thrown. */
  start(): Promise<void>;
  stop(): Promise<void>;
  drops(): readonly StoredDrop[];
  lanes(): readonly LaneRef[];
  /** Reads the list now instead of within a second. Call it after a publish. */
  refresh(): void;
};

const readEveryMs = 1_000;

/** Reads the list of active drops every second. While the ledger is down the last list stays valid. */
export function openActiveDrops({ drops, log }: { drops: Drops; log: Log }): ActiveDrops {
  let known: StoredDrop[] = [];
  let lanes: LaneRef[] = [];
  let pause = new AbortController();
  let loop: Promise<void> | undefined;
  let stopped = false;

  async function readList(): Promise<void> {
    try {
      known = await drops.active();
      lanes = known.flatMap(lanesOf);
    } catch (error) {
      log.warn({ err: error }, 'the list of active drops cannot be read');
    }
  }

  async function run(): Promise<void> {
    while (!stopped) {
      await wait(readEveryMs, undefined, { signal: pause.signal }).catch(() => {});
      pause = new AbortController();
      if (!stopped) await readList();
    }
  }

  return {
    async start() {
      stopped = false;
      await readList();
      loop ??= run();
    },
    async stop() {
      stopped = true;
      pause.abort();
      await loop;
      loop = undefined;
    },
    drops: () => known,
    lanes: () => lanes,
    refresh: () => pause.abort(),
  };
}
