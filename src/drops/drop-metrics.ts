import type { Clock } from '../domain/clock.ts';
import { dropState } from '../domain/drop.ts';
import { type Lanes, lanesOf } from '../inventory/lanes.ts';
import { type StockFigures, sumFigures } from '../inventory/stock-figures.ts';
import type { StoredDrop } from '../ledger/drops.ts';
import type { Metrics } from '../metrics.ts';
import { type Interval, openInterval } from '../scheduling/interval.ts';

/** Bounds of one reading: series on the page, and calls to Redis. */
const dropsMax = 50;
const lanesMax = 128;
const readEveryMs = 2_000;
const shownStates = ['available', 'held', 'sold'] as const;

/**
 * Publishes the units of open drops: those that opened last, as many as the bounds allow. They are read
 * at an interval, and a drop that is not open any more is no longer shown.
 */
export function openDropMetrics(options: {
  metrics: Metrics | undefined;
  drops(): readonly StoredDrop[];
  lanes: Pick<Lanes, 'inspect'>;
  clock: Clock;
}): Pick<Interval, 'start' | 'stop'> {
  const { metrics, drops, lanes, clock } = options;
  let read: { drop: string; units: StockFigures }[] = [];
  metrics?.gaugesBy({
    name: 'drop_units',
    help: 'Units of an open drop, all items and lanes together, by state: available, held, sold',
    labels: ['drop', 'state'],
    read() {
      return read.flatMap(({ drop, units }) => {
        return shownStates.map((state) => ({ labels: { drop, state }, value: units[state] }));
      });
    },
  });

  /** Undefined for a drop of which a lane has no data: a sum over the others would be wrong. */
  async function unitsOf(drop: StoredDrop): Promise<{ drop: string; units: StockFigures }[]> {
    const inspected = await Promise.all(lanesOf(drop).map(lanes.inspect));
    if (inspected.some((lane) => lane.status === 'missing')) return [];
    const figures = inspected.flatMap((lane) => (lane.status === 'done' ? lane.items : []));
    return [{ drop: drop.id, units: sumFigures(figures) }];
  }

  return openInterval({
    everyMs: readEveryMs,
    keepsProcessAlive: false,
    async run() {
      if (!metrics) return;
      const open = chosen(drops().filter((drop) => dropState(drop, clock.now()) === 'open'));
      read = [];
      read = (await Promise.all(open.map((drop) => unitsOf(drop).catch(() => [])))).flat();
    },
    onError() {}, // What cannot be read is not shown.
  });
}

/** The drops that opened last, within the bounds. */
function chosen(open: readonly StoredDrop[]): StoredDrop[] {
  const latest = [...open].sort((a, b) => b.startsAt - a.startsAt).slice(0, dropsMax);
  let lanes = 0;
  return latest.filter((drop) => {
    lanes += drop.lanes;
    return lanes <= lanesMax;
  });
}
