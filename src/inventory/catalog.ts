import { openMisses } from '../batching/misses.ts';
import { lookUpLimits, openPacedBatcher } from '../batching/paced-batcher.ts';
import { type Drop, type DropState, dropState } from '../domain/drop.ts';
import type { DropId } from '../domain/ids.ts';
import { openInterval } from '../scheduling/interval.ts';
import { type Lanes, lanesOf } from './lanes.ts';
import { type StockFigures, sameFigures, sumFigures } from './stock-figures.ts';

/** A published drop as this process last read it. */
export type DropView = {
  drop: Drop;
  /** Units summed over the lanes, by the item's position in the drop. */
  items: StockFigures[];
  /** Units by lane, then by the item's position. */
  lanes: StockFigures[][];
  /** When the earliest hold of each lane ends, ms since the epoch; undefined where there is none. */
  dueAt: (number | undefined)[];
  skuIndex: Map<string, number>;
  /** Appointments made so far, in all lanes. */
  appointments: number;
  /** True when no lane has an available or a held unit of any item. */
  isSoldOut: boolean;
  /** Grows with each change of the rules or a figure. */
  revision: number;
  /** False when the last read is older than half a second: then no Buy may be refused from it. */
  fresh(): boolean;
  /** The drop's state on Redis' clock. */
  state(): DropState;
};

export type Catalog = {
  /** The drop, read from its lanes the first time; undefined when they have none. */
  get(dropId: DropId): Promise<DropView | undefined>;
  /** Whether a drop that `get` did not find was once published: then its lanes have lost their data. */
  isLost(dropId: DropId): boolean;
  /** The drop if it is in memory. */
  peek(dropId: DropId): DropView | undefined;
  /** Redis' clock as estimated from the last read, ms since the epoch. */
  redisNow(): number;
  start(): void;
  stop(): Promise<void>;
};

export type CatalogOptions = {
  lanes: Lanes;
  /** Those of the drops that the ledger has as published. Asked about drops whose lanes have no rules. */
  published?(dropIds: readonly DropId[]): Promise<ReadonlySet<DropId>>;
  /** How often the lanes of drops in use are polled, ms; a lifted refusal is seen within two polls. */
  pollMs?: number;
  /** The most drops in memory; the least recently used is removed first. */
  dropsMax?: number;
  onError?(error: unknown): void;
};

const idleMs = 30_000;
const staleMs = 500;
const missMs = 1_000;
const missesMax = 10_000;
/** Lanes read in one poll: bounds the load that a thousand drops in use put on Redis. */
const turnLanesMax = 128;

type LaneFigures = Pick<DropView, 'appointments' | 'dueAt'> & { read: StockFigures[][] };
type Entry = { view: DropView; usedAt: number; readAt: number };

/**
 * The published drops in this process' memory: the source of public answers, and of refusals that need
 * no call. It polls the lanes instead of subscribing to changes, so a lost message cannot keep a
 * refusal in force (decision 2).
 */
export function openCatalog(options: CatalogOptions): Catalog {
  const { lanes, pollMs = 40, dropsMax = 2_000 } = options;
  const entries = new Map<DropId, Entry>();
  const misses = openMisses<{ lost: boolean }>({ keptMs: missMs, namesMax: missesMax });
  const lookUps = openPacedBatcher({ ...lookUpLimits, run: loadAll });
  const loading = new Map<DropId, Promise<DropView | undefined>>();
  let clock = { redis: Date.now(), local: performance.now() };
  let revisions = 0;

  const redisNow = () => Math.floor(clock.redis + performance.now() - clock.local);

  /** Reads all lanes of a drop; undefined when one of them has no rules. */
  async function readFigures(drop: Drop) {
    const read: StockFigures[][] = [];
    const dueAt: DropView['dueAt'] = [];
    let version = drop.version;
    let appointments = 0;
    for (const inspected of await Promise.all(lanesOf(drop).map(lanes.inspect))) {
      clock = { redis: inspected.now, local: performance.now() };
      if (inspected.status === 'missing') return undefined;
      version = Math.max(version, inspected.version);
      appointments += inspected.appointments;
      read.push(inspected.items);
      dueAt.push(inspected.dueAt);
    }
    return { version, appointments, read, dueAt };
  }

  async function load(dropId: DropId): Promise<DropView | undefined> {
    const drop = await lanes.readDrop({ drop: dropId, lane: 0 });
    const figures = drop && (await readFigures(drop));
    if (!drop || !figures) return undefined;
    const entry: Entry = { view: newView(drop), usedAt: performance.now(), readAt: 0 };
    write(entry, drop, figures);
    if (entries.size >= dropsMax) dropIdlest();
    entries.set(dropId, entry);
    return entry.view;
  }

  /** Anybody can ask for made-up drops, so they share a batch, and its one question to the ledger. */
  async function loadAll(ids: DropId[]): Promise<PromiseSettledResult<DropView | undefined>[]> {
    const loaded = await Promise.allSettled(ids.map(load));
    const missing = ids.filter((_, n) => {
      const result = loaded[n];
      return result?.status === 'fulfilled' && result.value === undefined;
    });
    if (missing.length > 0) {
      const published = await options.published?.(missing).catch(() => undefined);
      for (const id of missing) misses.add(id, { lost: published?.has(id) ?? false });
    }
    return loaded;
  }

  function dropIdlest(): void {
    let idlest: [dropId: DropId, usedAt: number] | undefined;
    for (const [dropId, { usedAt }] of entries) {
      if (idlest === undefined || usedAt < idlest[1]) idlest = [dropId, usedAt];
    }
    if (idlest) entries.delete(idlest[0]);
  }

  function newView(drop: Drop): DropView {
    const view: DropView = {
      drop,
      items: [],
      lanes: [],
      dueAt: [],
      skuIndex: new Map(),
      appointments: 0,
      isSoldOut: false,
      revision: 0,
      fresh: () => performance.now() - (entries.get(drop.id)?.readAt ?? 0) < staleMs,
      state: () => dropState(view.drop, redisNow()),
    };
    return view;
  }

  function write(entry: Entry, drop: Drop, figures: LaneFigures): void {
    const { view } = entry;
    const { read, appointments } = figures;
    entry.readAt = performance.now();
    view.dueAt = figures.dueAt;
    const isSame = drop === view.drop && view.lanes.length > 0 && sameItems(view.lanes, read);
    if (isSame && view.appointments === appointments) return;
    view.appointments = appointments;
    revisions += 1;
    view.revision = revisions;
    view.drop = drop;
    view.lanes = read;
    view.items = drop.items.map((_, index) => sumFigures(read.map((items) => items[index])));
    view.skuIndex = new Map(drop.items.map((item, index) => [item.sku, index]));
    view.isSoldOut = view.items.every(({ available, held }) => available + held === 0);
  }

  async function refresh(dropId: DropId, entry: Entry): Promise<void> {
    const figures = await readFigures(entry.view.drop);
    if (!figures) {
      entries.delete(dropId);
      return;
    }
    let { drop } = entry.view;
    if (figures.version > drop.version) {
      drop = (await lanes.readDrop({ drop: dropId, lane: 0 })) ?? drop;
    }
    write(entry, drop, figures);
  }

  async function poll(): Promise<void> {
    const now = performance.now();
    let budget = turnLanesMax;
    const turn: Promise<void>[] = [];
    const byAge = [...entries].sort((a, b) => a[1].readAt - b[1].readAt);
    for (const [dropId, entry] of byAge) {
      if (now - entry.usedAt > idleMs) {
        entries.delete(dropId);
        continue;
      }
      budget -= entry.view.drop.lanes;
      if (budget < 0) break;
      turn.push(refresh(dropId, entry));
    }
    for (const outcome of await Promise.allSettled(turn)) {
      if (outcome.status === 'rejected') options.onError?.(outcome.reason);
    }
  }

  const interval = openInterval({
    run: poll,
    everyMs: pollMs,
    onError: (error) => options.onError?.(error),
  });

  function use(dropId: DropId): DropView | undefined {
    const entry = entries.get(dropId);
    if (entry) entry.usedAt = performance.now();
    return entry?.view;
  }

  return {
    peek: use,
    isLost: (dropId) => misses.get(dropId)?.lost ?? false,
    redisNow,
    async get(dropId) {
      const known = use(dropId);
      if (known) return known;
      if (misses.get(dropId)) return undefined;
      let view = loading.get(dropId);
      if (!view) {
        view = lookUps.add(dropId).finally(() => loading.delete(dropId));
        loading.set(dropId, view);
      }
      return view;
    },
    start: interval.start,
    stop: interval.stop,
  };
}

function sameItems(before: StockFigures[][], now: StockFigures[][]): boolean {
  return before.every((items, lane) => {
    return items.every((item, index) => sameFigures(item, now[lane]?.[index]));
  });
}
