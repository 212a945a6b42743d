import { type Batcher, openBatcher, QueueFull } from '../batching/batcher.ts';
import type { Drop } from '../domain/drop.ts';
import { homeLane, type LaneRef } from '../domain/ids.ts';
import { callBuyersMax, type Lanes } from '../inventory/lanes.ts';
import type { Appointments, MadeAppointment } from '../ledger/appointments.ts';

export type Appointed =
  | ({ kind: 'appointed' } & MadeAppointment)
  /** A lane has lost its data. */
  | { kind: 'frozen' }
  /** More are asked for than can be written: nothing was done. */
  | { kind: 'overloaded' };

/** Buyers of a list in the order of its lines; figures count from the list's beginning. */
export type ListPart = { buyers: string[]; lines: number; bad: number };

/** How far a list surely is in: its first `lines` lines, whatever was in them. */
export type ListFigures = { lines: number; imported: number; already: number; bad: number };

type Place = Pick<Drop, 'id' | 'lanes'>;
type Asked = { drop: Place; buyer: string };

export type AppointmentService = {
  /** Makes a buyer's appointment unless there is one. */
  make(drop: Place, buyer: string): Promise<Appointed>;
  /** The buyer's appointment, undefined when there is none. */
  find(drop: Place, buyer: string): Promise<Appointed | undefined>;
  /**
   * Makes the appointments of a list as it is read. What goes wrong ends it, is told as `failure`
   * and leaves the figures at what is in ledger and lanes; sending the list again is harmless.
   */
  takeList(
    drop: Place,
    parts: AsyncIterable<ListPart>,
  ): Promise<{ figures: ListFigures; failure?: unknown }>;
};

class LaneLost extends Error {
  constructor() {
    super('a lane has lost its data');
    this.name = 'LaneLost';
  }
}

const limits = { batchMax: 500, inFlightMax: 2, queueMax: 4_096 };

/**
 * Appointments in both stores: the ledger first, which tells when one was made, then the buyer's home
 * lane, which judges by it. One that reached the ledger alone is brought to the lane when it is asked
 * for again. What comes while a batch is written is gathered into the next.
 */
export function openAppointmentService(options: {
  appointments: Appointments;
  lanes: Pick<Lanes, 'appoint'>;
}): AppointmentService {
  const { appointments, lanes } = options;
  const asking: Batcher<Asked, MadeAppointment> = openBatcher({ run: makeAll, ...limits });
  const bringing: Batcher<Asked, undefined> = openBatcher({ run: bringAll, ...limits });

  async function makeAll(asked: Asked[]): Promise<MadeAppointment[]> {
    const first = new Map<string, number>();
    const distinct = asked.filter(({ drop, buyer }, index) => {
      const name = `${drop.id} ${buyer}`;
      if (first.has(name)) return false;
      first.set(name, index);
      return true;
    });
    const made = await appointments.make(
      distinct.map(({ drop, buyer }) => ({ drop: drop.id, buyer })),
    );
    const byName = new Map([...first.keys()].map((name, n) => [name, made[n] as MadeAppointment]));
    await bringAll(distinct);
    return asked.map(({ drop, buyer }, index) => {
      const name = `${drop.id} ${buyer}`;
      const { madeAt, made: isNew } = byName.get(name) as MadeAppointment;
      return { madeAt, made: isNew && first.get(name) === index };
    });
  }

  /** Brings appointments that the ledger has to their buyers' home lanes. */
  async function bringAll(asked: Asked[]): Promise<undefined[]> {
    const byLane = new Map<string, { ref: LaneRef; buyers: string[] }>();
    for (const { drop, buyer } of asked) {
      const lane = homeLane(buyer, drop.lanes);
      const name = `${drop.id}:${lane}`;
      const group = byLane.get(name);
      if (group) group.buyers.push(buyer);
      else byLane.set(name, { ref: { drop: drop.id, lane }, buyers: [buyer] });
    }
    const answers = await Promise.all(
      [...byLane.values()].map(({ ref, buyers }) => lanes.appoint(ref, buyers)),
    );
    if (answers.some((answer) => answer[0] === 'missing')) throw new LaneLost();
    return asked.map(() => undefined);
  }

  return {
    async make(drop, buyer) {
      try {
        return { kind: 'appointed', ...(await asking.add({ drop, buyer })) };
      } catch (error) {
        return refusalOf(error);
      }
    },

    async find(drop, buyer) {
      const madeAt = await appointments.find({ drop: drop.id, buyer });
      if (madeAt === undefined) return undefined;
      try {
        await bringing.add({ drop, buyer });
        return { kind: 'appointed', madeAt, made: false };
      } catch (error) {
        return refusalOf(error);
      }
    },

    async takeList(drop, parts) {
      let figures: ListFigures = { lines: 0, imported: 0, already: 0, bad: 0 };
      /** The part before, on its way to the lanes while the ledger takes the next. */
      let underWay: Promise<void> = Promise.resolve();
      const bring = async ({ buyers, lines, bad }: ListPart, added: number) => {
        await bringAll(buyers.map((buyer) => ({ drop, buyer })));
        const { imported, already } = figures;
        figures = {
          lines,
          bad,
          imported: imported + added,
          already: already + buyers.length - added,
        };
      };
      try {
        for await (const part of parts) {
          const { buyers } = part;
          if (buyers.length > callBuyersMax) throw new Error('bug: a part is longer than a call');
          const added = buyers.length > 0 ? await appointments.add(drop.id, buyers) : 0;
          await underWay;
          underWay = bring(part, added);
          underWay.catch(() => {}); // Whoever waits for it next hears of it.
        }
        await underWay;
        return { figures };
      } catch (failure) {
        // What the lanes are taking is waited for: the figures tell all that is surely in.
        await underWay.catch(() => {});
        return { figures, failure };
      }
    },
  };
}

/** What stands in the way and is not a part that does not answer; that is thrown on. */
function refusalOf(error: unknown): Appointed {
  if (error instanceof LaneLost) return { kind: 'frozen' };
  if (error instanceof QueueFull) return { kind: 'overloaded' };
  throw error;
}
