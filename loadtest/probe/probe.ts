import { Agent, request } from 'undici';
import type { EngineMoment } from '../spike/record.ts';
import { type Named, openProcesses } from './processes.ts';

export type Probe = {
  /**
   * What the engine tells and uses now, at most `waitMsMax` after the call. Figures it gave in the
   * last seconds stand in while it is slow to answer; undefined when it has been silent for longer.
   */
  sample(): Promise<EngineMoment | undefined>;
  close(): Promise<void>;
};

type Units = Pick<EngineMoment, 'available' | 'held' | 'sold' | 'ledger'>;
type Queues = Pick<EngineMoment, 'outboxBacklog' | 'queueWaiting' | 'queueActive'>;

const waitMsMax = 300;
const staleMsMax = 5_000;
const answerMsMax = 5_000;
/** A look costs the engine work (50,000 orders: a tenth of a second of its ledger), so it rests. */
const restShare = 9;

/**
 * Looks at an engine under load as its merchant. Cheap enough to be asked each second: a look that
 * took long is not repeated before nine times as long has passed, so that looking takes a tenth at most.
 */
export function openProbe(options: {
  address: string;
  merchantKey: string;
  drop: string;
  /** The engine's process, whose children are found; undefined for one on another machine. */
  enginePid: number | undefined;
  /** Further processes to watch, such as those of the load. */
  processes: readonly Named[];
}): Probe {
  const { address, merchantKey, drop, enginePid, processes } = options;
  const agent = new Agent({ connections: 2 });
  const useOf = openProcesses({ engine: enginePid, others: processes });

  async function get(path: string): Promise<string> {
    const { statusCode, body } = await request(`${address}${path}`, {
      dispatcher: agent,
      signal: AbortSignal.timeout(answerMsMax),
      headers: { authorization: `Bearer ${merchantKey}` },
    });
    const text = await body.text();
    if (statusCode !== 200) throw new Error(`${path}: ${statusCode}`);
    return text;
  }

  const units = restingLook(async () => readUnits(await get(`/v1/drops/${drop}/report`)));
  const queues = restingLook(async () => readQueues(await get('/metrics')));

  return {
    async sample() {
      await Promise.race([Promise.all([units.look(), queues.look()]), later(waitMsMax)]);
      const [unitsNow, queuesNow] = [units.known(), queues.known()];
      // Looked at each time, also when the rest is silent: CPU is told since the look before.
      const used = useOf();
      if (!unitsNow || !queuesNow) return undefined;
      const settlementLag = Math.max(0, unitsNow.sold - unitsNow.ledger.paid);
      return { ...unitsNow, ...queuesNow, settlementLag, processes: used };
    },
    close: () => agent.destroy(),
  };
}

/** One look at a time, with rests between; what was seen last is known until it is stale. */
function restingLook<T>(read: () => Promise<T>) {
  let seen: { value: T; at: number } | undefined;
  let restUntil = 0;
  let under: Promise<void> | undefined;

  async function lookNow(): Promise<void> {
    const started = performance.now();
    try {
      seen = { value: await read(), at: performance.now() };
    } catch {
      // Silence is told by the figure growing stale.
    }
    const ended = performance.now();
    restUntil = ended + restShare * (ended - started);
    under = undefined;
  }

  return {
    look(): Promise<void> {
      if (!under && performance.now() < restUntil) return Promise.resolve();
      under ??= lookNow();
      return under;
    },
    known(): T | undefined {
      return seen && performance.now() - seen.at < staleMsMax ? seen.value : undefined;
    },
  };
}

function readUnits(text: string): Units {
  const { items, funnel } = JSON.parse(text) as {
    items: { available: number; held: number; sold: number }[];
    funnel: { orders: Partial<Units['ledger']> };
  };
  const sum = (name: 'available' | 'held' | 'sold') =>
    items.reduce((total, item) => total + item[name], 0);
  return {
    available: sum('available'),
    held: sum('held'),
    sold: sum('sold'),
    ledger: { reserved: 0, paid: 0, released: 0, refunded: 0, ...funnel.orders },
  };
}

function readQueues(text: string): Queues {
  const gauge = (name: string) => {
    const value = new RegExp(`^flashdrop_${name}(?:\\{[^}]*\\})? (\\S+)$`, 'm').exec(text)?.[1];
    // The engine tells -1 while Redis does not answer it.
    if (value === undefined || Number(value) < 0) throw new Error(`${name} is not known`);
    return Number(value);
  };
  return {
    outboxBacklog: gauge('outbox_backlog'),
    queueWaiting: gauge('settle_queue_waiting'),
    queueActive: gauge('settle_queue_active'),
  };
}

function later(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms).unref());
}
