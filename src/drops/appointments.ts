import { type Batcher, openBatcher, QueueFull } from '../batching/batcher.ts';
import type { Drop } from '../domain/drop.ts';
import { type BuyerId, homeLane, type LaneRef } from '../domain/ids.ts';
import { required } from '../domain/required.ts';
import { callBuyersMax, type Lanes } from '../inventory/lanes.ts';
import type { Appointments, MadeAppointment } from '../ledger/appointments.ts';

export type Appointed =
  | ({ kind: 'appointed' } & MadeAppointment)
  /** A lane has lost its data. */
  | { kind: 'frozen' }
  /** The queue of appointments to write is full. Nothing was done. */
  | { kind: 'overloaded' };

/** Some buyers of a list, in the order of its lines. `lines` and `bad` count from the list's start. */
export type ListPart = { buyers: string[]; lines: number; bad: number };

/** How much of a list is in the ledger and the lanes for certain: its first `lines` lines. */
export type ImportProgress = { lines: number; imported: number; already: number; bad: number };

type Place = Pick<Drop, 'id' | 'lanes'>;
type AppointmentRequest = { drop: Place; buyer: BuyerId };

export type AppointmentService = {
  /** Makes a buyer's appointment unless there is one. */
  make(drop: Place, buyer: BuyerId): Promise<Appointed>;
  /** The buyer's appointment, undefined when there is none. */
  find(drop: Place, buyer: BuyerId): Promise<Appointed | undefined>;
  /**
   * Makes the appointments of a list while it is read. An error ends the import and is returned as
   * `failure`; `progress` then covers what is in the ledger and the lanes. Repeating a list is harmless.
   */
  takeList(drop: Place, parts: AsyncIterable<ListPart>): Promise<ImportResult>;
  /**
   * Reads a list as takeList does and writes nothing: `imported` is what would be new. A buyer who is
   * named twice, more than a thousand lines apart, is counted twice.
   */
  tryList(drop: Place, parts: AsyncIterable<ListPart>): Promise<ImportResult>;
  /** Removes the appointment of a buyer, who can buy no more. Orders they have stay. */
  remove(drop: Place, buyer: BuyerId): Promise<Removed>;
  /** The same for all buyers. What is repeated after a failure goes on where it ended. */
  removeAll(drop: Place): Promise<Removed>;
};

type ImportResult = { progress: ImportProgress; failure?: unknown };

/** What removing appointments came to; `removed` is how many there were. */
export type Removed = { kind: 'removed'; removed: number } | { kind: 'frozen' };

class LaneLost extends Error {
  constructor() {
    super('a lane has lost its data');
    this.name = 'LaneLost';
  }
}

const limits = { batchMax: 500, inFlightMax: 2, queueMax: 4_096 };

/**
 * Writes appointments to both stores: first to the ledger, which records when each was made, then to
 * the buyer's home lane, which checks it at a Buy. An appointment that reached only the ledger gets to
 * the lane at the next request for it. Requests that arrive during a write form the next batch.
 */
export function openAppointmentService(options: {
  appointments: Appointments;
  lanes: Pick<Lanes, 'appoint' | 'unappoint'>;
}): AppointmentService {
  const { appointments, lanes } = options;
  const makeBatcher: Batcher<AppointmentRequest, MadeAppointment> = openBatcher({
    run: makeAll,
    ...limits,
  });
  const laneBatcher: Batcher<AppointmentRequest, undefined> = openBatcher({
    run: writeToLanes,
    ...limits,
  });

  async function makeAll(requests: AppointmentRequest[]): Promise<MadeAppointment[]> {
    const first = new Map<string, number>();
    const distinct = requests.filter(({ drop, buyer }, index) => {
      const name = `${drop.id} ${buyer}`;
      if (first.has(name)) return false;
      first.set(name, index);
      return true;
    });
    const made = await appointments.make(
      distinct.map(({ drop, buyer }) => ({ drop: drop.id, buyer })),
    );
    const byName = new Map([...first.keys()].map((name, n) => [name, made[n]]));
    await writeToLanes(distinct);
    return requests.map(({ drop, buyer }, index) => {
      const name = `${drop.id} ${buyer}`;
      const { madeAt, made: isNew } = required(byName.get(name), 'appointment that was made');
      return { madeAt, made: isNew && first.get(name) === index };
    });
  }

  /**
   * Writes appointments that the ledger has to their buyers' home lanes.
   * @throws LaneLost when a lane has lost its data
   */
  async function writeToLanes(requests: AppointmentRequest[]): Promise<undefined[]> {
    const groups = byHomeLane(requests);
    const answers = await Promise.all(groups.map(({ ref, buyers }) => lanes.appoint(ref, buyers)));
    if (answers.some((answer) => answer[0] === 'missing')) throw new LaneLost();
    return requests.map(() => undefined);
  }

  /**
   * Removes appointments from the lanes first: whatever is still in the ledger after a failure is removed
   * from both when the request is repeated.
   * @throws LaneLost when a lane has lost its data
   */
  async function removeThese(drop: Place, buyers: readonly string[]): Promise<number> {
    const answers = await Promise.all(
      byHomeLane(buyers.map((buyer) => ({ drop, buyer }))).map((group) => {
        return lanes.unappoint(group.ref, group.buyers);
      }),
    );
    if (answers.some((answer) => answer[0] === 'missing')) throw new LaneLost();
    return await appointments.remove(drop.id, buyers);
  }

  async function removed(remove: () => Promise<number>): Promise<Removed> {
    try {
      return { kind: 'removed', removed: await remove() };
    } catch (error) {
      if (error instanceof LaneLost) return { kind: 'frozen' };
      throw error;
    }
  }

  return {
    remove: (drop, buyer) => removed(() => removeThese(drop, [buyer])),

    removeAll: (drop) =>
      removed(async () => {
        let count = 0;
        for (;;) {
          const rows = await appointments.page({ drop: drop.id, limit: callBuyersMax });
          if (rows.length === 0) return count;
          count += await removeThese(
            drop,
            rows.map(({ buyer }) => buyer),
          );
        }
      }),

    async tryList(drop, parts) {
      let progress = noProgress;
      try {
        for await (const { buyers, lines, bad } of parts) {
          const added = buyers.length > 0 ? await appointments.countNew(drop.id, buyers) : 0;
          progress = advance(progress, { buyers, lines, bad }, added);
        }
        return { progress };
      } catch (failure) {
        return { progress, failure };
      }
    },

    async make(drop, buyer) {
      try {
        return { kind: 'appointed', ...(await makeBatcher.add({ drop, buyer })) };
      } catch (error) {
        return refusalOf(error);
      }
    },

    async find(drop, buyer) {
      const madeAt = await appointments.find({ drop: drop.id, buyer });
      if (madeAt === undefined) return undefined;
      try {
        await laneBatcher.add({ drop, buyer });
        return { kind: 'appointed', madeAt, made: false };
      } catch (error) {
        return refusalOf(error);
      }
    },

    async takeList(drop, parts) {
      let progress = noProgress;
      /** The write of the previous part to the lanes, which runs while the ledger takes the next. */
      let laneWrite: Promise<void> = Promise.resolve();
      const finishPart = async ({ buyers, lines, bad }: ListPart, added: number) => {
        await writeToLanes(buyers.map((buyer) => ({ drop, buyer })));
        progress = advance(progress, { buyers, lines, bad }, added);
      };
      try {
        for await (const part of parts) {
          const { buyers } = part;
          if (buyers.length > callBuyersMax) throw new Error('bug: a part is longer than one call');
          const added = buyers.length > 0 ? await appointments.add(drop.id, buyers) : 0;
          await laneWrite;
          laneWrite = finishPart(part, added);
          laneWrite.catch(() => {}); // The next `await laneWrite` throws it.
        }
        await laneWrite;
        return { progress };
      } catch (failure) {
        // Wait for the running write, so that the progress covers all that is in the lanes.
        await laneWrite.catch(() => {});
        return { progress, failure };
      }
    },
  };
}

/**
 * The refusal that an error stands for.
 * @throws the error itself when it stands for none, such as a store that does not answer
 */
function refusalOf(error: unknown): Appointed {
  if (error instanceof LaneLost) return { kind: 'frozen' };
  if (error instanceof QueueFull) return { kind: 'overloaded' };
  throw error;
}

/** Groups appointments by the buyers' home lanes, since one call reaches one lane. */
function byHomeLane(requests: readonly AppointmentRequest[]): { ref: LaneRef; buyers: string[] }[] {
  const groups = new Map<string, { ref: LaneRef; buyers: string[] }>();
  for (const { drop, buyer } of requests) {
    const lane = homeLane(buyer, drop.lanes);
    const name = `${drop.id}:${lane}`;
    const group = groups.get(name);
    if (group) group.buyers.push(buyer);
    else groups.set(name, { ref: { drop: drop.id, lane }, buyers: [buyer] });
  }
  return [...groups.values()];
}

const noProgress: ImportProgress = { lines: 0, imported: 0, already: 0, bad: 0 };

/** The progress after a part of which `added` buyers are new. */
function advance(
  { imported, already }: ImportProgress,
  { buyers, lines, bad }: ListPart,
  added: number,
): ImportProgress {
  return {
    lines,
    bad,
    imported: imported + added,
    already: already + buyers.length - added,
  };
}
