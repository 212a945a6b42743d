import { setTimeout as wait } from 'node:timers/promises';
import { Agent, request } from 'undici';
import type { EngineMoment, QueuesMoment, UnitsMoment } from '../record/record.ts';
import { pausingRead } from './pausing-read.ts';
import { type Named, openProcesses } from './processes.ts';
import { openSettled } from './settled.ts';

export type Sample = {
  engine: Omit<EngineMoment, 'units'>;
  /** `at`: when the lanes were read, ms since the epoch; a slow answer describes that instant. */
  units: { at: number; seen: UnitsMoment }[];
};

export type Probe = {
  /**
   * What the engine reported since the last sample and what its processes use, at most `waitMsMax`
   * after the call; undefined for parts that were not read or not answered yet.
   */
  sample(): Promise<Sample>;
  /**
   * Reads until every order of the drop has ended in the ledger. Resolves with the instant (on
   * performance.now) since when all reads found it so, which may be before the call; undefined after
   * the time limit.
   */
  untilSettled(withinMs: number): Promise<number | undefined>;
  close(): Promise<void>;
};

/** An overloaded engine answers late, and what it answers is still of use, in ms. */
const answerMsMax = 30_000;
/** Reads of one kind are up to ten at once. */
const connections = 20;
const lookEveryMs = 100;

/** Reads an engine under load as its merchant, so rarely that it hardly adds to the load. */
export function openProbe(options: {
  address: string;
  /** Of the operators' routes; without it the queues are not read. */
  opsAddress: string | undefined;
  merchantKey: string;
  drop: string;
  /** Process id of the engine, whose children are found; undefined for an engine on another machine. */
  enginePid: number | undefined;
  /** Further processes to watch, such as those of the load. */
  processes: readonly Named[];
  /** A sample waits this long for reads that are under way, in ms. */
  waitMsMax?: number;
}): Probe {
  const { address, opsAddress, merchantKey, drop, enginePid, processes, waitMsMax = 300 } = options;
  const agent = new Agent({ connections });
  const useOf = openProcesses({ engine: enginePid, others: processes });
  const settled = openSettled();

  async function get(url: string): Promise<string> {
    const { statusCode, body } = await request(url, {
      dispatcher: agent,
      signal: AbortSignal.timeout(answerMsMax),
      headers: { authorization: `Bearer ${merchantKey}` },
    });
    const text = await body.text();
    if (statusCode !== 200) throw new Error(`${url}: ${statusCode}`);
    return text;
  }

  const units = pausingRead(async () => {
    const askedAt = Date.now();
    const read = settled.begin();
    const { at, seen } = readUnits(await get(`${address}/v1/drops/${drop}/report`));
    read.see(haveEnded(seen), performance.now());
    // The engine's clock may differ; it read the lanes at some time during the request.
    return { seen, at: Math.max(askedAt, Math.min(at, Date.now())) };
  });
  // The queues are cheap to read, so they give the instant; only the units prove it.
  const queues = pausingRead(async () => {
    const read = settled.begin();
    const seen = readQueues(await get(`${opsAddress}/metrics`));
    read.see(areIdle(seen), performance.now());
    return seen;
  });

  return {
    async sample() {
      await Promise.race([Promise.all([units.look(), queues.look()]), later(waitMsMax)]);
      const engine = { queues: queues.take().at(-1), processes: useOf() };
      return { engine, units: units.take() };
    },
    async untilSettled(withinMs) {
      const until = performance.now() + withinMs;
      let wereIdle = false;
      while (performance.now() < until) {
        const seenQueues = await queues.lookNow();
        const idle = seenQueues !== undefined && areIdle(seenQueues);
        // At once when the queues are empty, else from time to time: they may be empty while an order
        // waits for the sweeper, and busy for ever with another drop.
        const known = await (idle && !wereIdle ? units.lookNow() : units.look());
        wereIdle = idle;
        if (known && haveEnded(known.seen)) return settled.since() ?? performance.now();
        await wait(lookEveryMs);
      }
      return undefined;
    },
    close: () => agent.destroy(),
  };
}

function haveEnded({ held, sold, ledger }: UnitsMoment): boolean {
  return held === 0 && ledger.reserved === 0 && sold === ledger.paid;
}

function areIdle({ outboxBacklog, waiting, active, delayed }: QueuesMoment): boolean {
  return outboxBacklog + waiting + active + delayed === 0;
}

function readUnits(text: string): { at: number; seen: UnitsMoment } {
  const { at, items, funnel } = JSON.parse(text) as {
    at: string;
    items: { available: number; held: number; sold: number }[];
    funnel: { orders: Partial<UnitsMoment['ledger']> };
  };
  const sum = (name: 'available' | 'held' | 'sold') =>
    items.reduce((total, item) => total + item[name], 0);
  const ledger = { reserved: 0, paid: 0, released: 0, refunded: 0, ...funnel.orders };
  const sold = sum('sold');
  const seen = {
    available: sum('available'),
    held: sum('held'),
    sold,
    ledger,
    // Lanes and ledger are read one after the other, so a sale may appear in the second only.
    settlementLag: Math.max(0, sold - ledger.paid),
  };
  return { at: Date.parse(at), seen };
}

function readQueues(text: string): QueuesMoment {
  const gauge = (name: string) => {
    const value = new RegExp(`^flashdrop_${name}(?:\\{[^}]*\\})? (\\S+)$`, 'm').exec(text)?.[1];
    // The engine reports -1 while Redis does not answer.
    if (value === undefined || Number(value) < 0) throw new Error(`${name} is not known`);
    return Number(value);
  };
  return {
    outboxBacklog: gauge('outbox_backlog'),
    waiting: gauge('settle_queue_waiting'),
    active: gauge('settle_queue_active'),
    delayed: gauge('settle_queue_delayed'),
  };
}

function later(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms).unref());
}
