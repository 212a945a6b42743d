import type { Step } from '../workload/tally.ts';
import type { Action, EngineMoment, Latency, Moment, Outcome, Pacing } from './record.ts';

/** Later than this against its schedule, at the 99th percentile, a load is not the one asked for. */
const behindMsMax = 250;

type Merged = Omit<Step, 'latencies' | 'behind'> & {
  latencies: Map<Action, Float32Array[]>;
  engine: EngineMoment | undefined;
};

/** Puts together what the load processes tell. Every latency is kept, so percentiles are exact. */
export function openMerge(options: { stepMs: number; units: number }) {
  const { stepMs, units } = options;
  const steps = new Map<number, Merged>();
  const behind: Float32Array[] = [];

  function at(step: number): Merged {
    let merged = steps.get(step);
    if (!merged) {
      const counts = { scheduled: 0, sent: 0, accepted: 0, replayed: 0, looks: 0 };
      merged = { step, ...counts, refused: {}, latencies: new Map(), engine: undefined };
      steps.set(step, merged);
    }
    return merged;
  }

  function add(step: Step): void {
    const merged = at(step.step);
    for (const name of ['scheduled', 'sent', 'accepted', 'replayed', 'looks'] as const) {
      merged[name] += step[name];
    }
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

  function moments(): Moment[] {
    return [...steps.values()].sort((a, b) => a.step - b.step).map(momentOf);
  }

  return {
    add,
    moments,
    /** The latest step that all processes have told of. */
    last(): Moment | undefined {
      const latest = [...steps.keys()].reduce((high, step) => Math.max(high, step), -Infinity);
      const merged = steps.get(latest - 2);
      return merged && momentOf(merged);
    },
    sample(atMs: number, engine: EngineMoment | undefined): void {
      at(Math.floor(atMs / stepMs)).engine = engine;
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
    outcome(settledAtMs: number | undefined): Outcome {
      const sum = { requests: 0, accepted: 0, replayed: 0 };
      const refused: Record<string, number> = {};
      let firstAcceptedAtMs: number | undefined;
      let allAcceptedAtMs: number | undefined;
      let acceptedPerSecondPeak = 0;
      for (const moment of moments()) {
        sum.requests += moment.sent;
        sum.accepted += moment.accepted;
        sum.replayed += moment.replayed;
        for (const [code, count] of Object.entries(moment.refused)) {
          refused[code] = (refused[code] ?? 0) + count;
        }
        if (moment.accepted > 0) firstAcceptedAtMs ??= Math.max(0, moment.atMs);
        // To the end of the step: a step tells how many, not when within it.
        if (sum.accepted >= units) allAcceptedAtMs ??= moment.atMs + stepMs;
        const perSecond = moment.accepted * (1_000 / stepMs);
        acceptedPerSecondPeak = Math.max(acceptedPerSecondPeak, perSecond);
      }
      return {
        ...{ ...sum, refused, firstAcceptedAtMs, allAcceptedAtMs, acceptedPerSecondPeak },
        settledAtMs,
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
  const count = parts.reduce((sum, part) => sum + part.length, 0);
  const all = new Float32Array(count);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  all.sort();
  const rank = (share: number) => rounded(all[Math.max(0, Math.ceil(count * share) - 1)] ?? 0);
  return {
    ...{ count, p50: rank(0.5), p90: rank(0.9), p99: rank(0.99), p999: rank(0.999) },
    max: rounded(all[count - 1] ?? 0),
  };
}

function rounded(ms: number): number {
  return Math.round(ms * 10) / 10;
}
