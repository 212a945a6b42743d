import type {
  Action,
  EngineMoment,
  Latency,
  Moment,
  Outcome,
  Pacing,
  UnitsMoment,
} from '../record/record.ts';
import { bestSecond } from '../record/seconds.ts';
import type { Step } from '../workload/counters.ts';

/** A load that is later than this at the 99th percentile did not follow its schedule, in ms. */
const behindMsMax = 250;
const second = 1_000;

const counted = ['scheduled', 'sent', 'followUps', 'replayed', 'looks'] as const;

type Merged = Omit<Step, 'acceptedAt' | 'latencies' | 'behind'> & {
  accepted: number;
  latencies: Map<Action, Float32Array[]>;
  engine: EngineMoment | undefined;
};

/** Merges the reports of the load processes. Every latency is kept, so percentiles are exact. */
export function openMerge(options: { stepMs: number; units: number }) {
  const { stepMs, units } = options;
  const steps = new Map<number, Merged>();
  const behind: Float32Array[] = [];
  const acceptedAt: Float64Array[] = [];

  function at(step: number): Merged {
    let merged = steps.get(step);
    if (!merged) {
      const counts = { scheduled: 0, sent: 0, followUps: 0, accepted: 0, replayed: 0, looks: 0 };
      merged = { step, ...counts, refused: {}, latencies: new Map(), engine: undefined };
      steps.set(step, merged);
    }
    return merged;
  }

  function add(step: Step): void {
    const merged = at(step.step);
    for (const name of counted) merged[name] += step[name];
    merged.accepted += step.acceptedAt.length;
    acceptedAt.push(step.acceptedAt);
    for (const [code, count] of Object.entries(step.refused)) {
      merged.refused[code] = (merged.refused[code] ?? 0) + count;
    }
    for (const [action, values] of Object.entries(step.latencies)) {
      const known = merged.latencies.get(action as Action);
      if (known) known.push(values);
      else merged.latencies.set(action as Action, [values]);
    }
    behind.push(step.behind);
  }

  function momentOf(merged: Merged): Moment {
    const latency: Moment['latency'] = {};
    for (const [action, parts] of merged.latencies) {
      const { p50, p99, max } = summarise(parts);
      latency[action] = { p50, p99, max };
    }
    const { step, latencies: _, ...counts } = merged;
    return { atMs: step * stepMs, stepMs, ...counts, latency };
  }

  /** Every step from the first to the last, also empty ones. */
  function moments(): Moment[] {
    const known = [...steps.keys()];
    const last = Math.max(...known);
    for (let step = Math.min(...known); step < last; step += 1) at(step);
    return [...steps.values()].sort((a, b) => a.step - b.step).map(momentOf);
  }

  return {
    add,
    moments,
    /** The latest step that all processes have reported. */
    last(): Moment | undefined {
      const latest = [...steps.keys()].reduce((high, step) => Math.max(high, step), -Infinity);
      const merged = steps.get(latest - Math.ceil(second / stepMs));
      return merged && momentOf(merged);
    },
    /** Units belong to the step in which the lanes were read, not to that of a slow answer. */
    sample(engine: Omit<EngineMoment, 'units'>, atMs: number): void {
      const merged = at(Math.floor(atMs / stepMs));
      merged.engine = { ...engine, units: merged.engine?.units };
    },
    units(seen: UnitsMoment, atMs: number): void {
      const merged = at(Math.floor(atMs / stepMs));
      merged.engine = { queues: undefined, processes: [], ...merged.engine, units: seen };
    },
    latency(): Partial<Record<Action, Latency>> {
      const all = new Map<Action, Float32Array[]>();
      for (const { latencies } of steps.values()) {
        for (const [action, parts] of latencies) {
          all.set(action, [...(all.get(action) ?? []), ...parts]);
        }
      }
      return Object.fromEntries([...all].map(([action, parts]) => [action, summarise(parts)]));
    },
    /** `settledAtMs` as read; nothing is settled before the last order was accepted. */
    outcome(settledAtMs: number | undefined): Outcome {
      const sum = { requests: 0, followUps: 0, replayed: 0 };
      const refused: Record<string, number> = {};
      for (const step of steps.values()) {
        sum.requests += step.sent + step.followUps;
        sum.followUps += step.followUps;
        sum.replayed += step.replayed;
        for (const [code, count] of Object.entries(step.refused)) {
          refused[code] = (refused[code] ?? 0) + count;
        }
      }
      const instants = joined(Float64Array, acceptedAt).sort();
      const told = (at: number) => {
        const instant = instants.at(at);
        return instant === undefined ? undefined : rounded(instant);
      };
      const last = told(-1) ?? 0;
      return {
        ...sum,
        refused,
        accepted: instants.length,
        firstAcceptedAtMs: told(0),
        allAcceptedAtMs: units > 0 ? told(units - 1) : undefined,
        acceptedPerSecondPeak: bestSecond(moments(), ({ accepted }) => accepted),
        settledAtMs: settledAtMs === undefined ? undefined : Math.max(settledAtMs, last),
      };
    },
    pacing(planned: number): Pacing {
      const { p50, p99, max, count } = summarise(behind);
      const base = { scheduled: planned, sent: count, behindMs: { p50, p99, max } };
      let reason: string | undefined;
      if (count < planned) {
        reason = `only ${count} of ${planned} scheduled requests left in time to count`;
      } else if (p99 > behindMsMax) {
        reason = `this machine cannot pace the crowd: 1 in 100 requests left ${Math.round(p99)} ms or more behind the schedule (${behindMsMax} ms is allowed); use a smaller --scale or a lower --speed`;
      }
      return { valid: reason === undefined, reason, ...base };
    },
  };
}

/** Exact percentiles (nearest rank) of values that came in parts. */
export function summarise(parts: Float32Array[]): Latency {
  const all = joined(Float32Array, parts).sort();
  const count = all.length;
  const rank = (share: number) => rounded(all[Math.max(0, Math.ceil(count * share) - 1)] ?? 0);
  return {
    count,
    p50: rank(0.5),
    p90: rank(0.9),
    p99: rank(0.99),
    p999: rank(0.999),
    max: rounded(all[count - 1] ?? 0),
  };
}

function joined<T extends Float32Array | Float64Array>(
  kind: new (length: number) => T,
  parts: readonly T[],
): T {
  const all = new kind(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

function rounded(ms: number): number {
  return Math.round(ms * 10) / 10;
}
