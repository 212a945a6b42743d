import type { Action } from '../record/record.ts';

/** One step of the run, as a load process reports it. Latencies are in ms. */
export type Step = {
  /** Position of the step: it begins `step * stepMs` after the opening, or before it. */
  step: number;
  scheduled: number;
  sent: number;
  followUps: number;
  replayed: number;
  looks: number;
  refused: Record<string, number>;
  /** When each order was accepted, in ms since the opening. */
  acceptedAt: Float64Array;
  latencies: Partial<Record<Action, Float32Array>>;
  /** How late each scheduled request left. */
  behind: Float32Array;
};

type Open = Omit<Step, 'acceptedAt' | 'latencies' | 'behind'> & {
  acceptedAt: number[];
  latencies: Partial<Record<Action, number[]>>;
  behind: number[];
};

/** Counts by step of the run; `now` is ms since the opening. */
export function openCounters(options: { stepMs: number; now(): number }) {
  const { stepMs, now } = options;
  const open = new Map<number, Open>();

  function at(time: number): Open {
    const step = Math.floor(time / stepMs);
    let entry = open.get(step);
    if (!entry) {
      const counts = { scheduled: 0, sent: 0, followUps: 0, replayed: 0, looks: 0 };
      entry = { step, ...counts, refused: {}, acceptedAt: [], latencies: {}, behind: [] };
      open.set(step, entry);
    }
    return entry;
  }

  return {
    current: () => at(now()),
    /** A scheduled act leaves now. */
    scheduled(dueMs: number): void {
      const time = now();
      const entry = at(time);
      at(dueMs).scheduled += 1;
      entry.sent += 1;
      entry.behind.push(time - dueMs);
    },
    accepted(): void {
      const time = now();
      at(time).acceptedAt.push(time);
    },
    answered(action: Action, dueMs: number): void {
      const time = now();
      const entry = at(time);
      entry.latencies[action] ??= [];
      entry.latencies[action].push(time - dueMs);
    },
    refused(code: string): void {
      const { refused } = at(now());
      refused[code] = (refused[code] ?? 0) + 1;
    },
    /** The steps that have ended, or all of them; each is given once, late additions as new ones. */
    take(all = false): Step[] {
      const current = Math.floor(now() / stepMs);
      const taken: Step[] = [];
      for (const [step, entry] of open) {
        if (!all && step >= current) continue;
        open.delete(step);
        const latencies = Object.fromEntries(
          Object.entries(entry.latencies).map(([name, values]) => [
            name,
            Float32Array.from(values),
          ]),
        );
        taken.push({
          ...entry,
          latencies,
          behind: Float32Array.from(entry.behind),
          acceptedAt: Float64Array.from(entry.acceptedAt),
        });
      }
      return taken;
    },
  };
}

export type Counters = ReturnType<typeof openCounters>;
