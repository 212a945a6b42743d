import type { Action, Moment } from '../record/record.ts';

/** Merges neighbouring steps: counts are added, of percentiles the worst is kept. */
export function thinned(moments: readonly Moment[], stepsMax: number): Moment[] {
  const together = Math.ceil(moments.length / stepsMax);
  if (together <= 1) return [...moments];
  const steps: Moment[] = [];
  for (let at = 0; at < moments.length; at += together) {
    steps.push(moments.slice(at, at + together).reduce(joined));
  }
  return steps;
}

function joined(a: Moment, b: Moment): Moment {
  const refused = { ...a.refused };
  for (const [code, n] of Object.entries(b.refused)) refused[code] = (refused[code] ?? 0) + n;
  const latency = { ...a.latency };
  for (const [name, seen] of Object.entries(b.latency)) {
    const action = name as Action;
    const { p50 = 0, p99 = 0, max = 0 } = latency[action] ?? {};
    latency[action] = {
      p50: Math.max(p50, seen.p50),
      p99: Math.max(p99, seen.p99),
      max: Math.max(max, seen.max),
    };
  }
  return {
    atMs: a.atMs,
    stepMs: b.atMs + b.stepMs - a.atMs,
    refused,
    latency,
    scheduled: a.scheduled + b.scheduled,
    sent: a.sent + b.sent,
    followUps: a.followUps + b.followUps,
    accepted: a.accepted + b.accepted,
    replayed: a.replayed + b.replayed,
    looks: a.looks + b.looks,
    engine: laterOf(a.engine, b.engine),
  };
}

function laterOf(a: Moment['engine'], b: Moment['engine']): Moment['engine'] {
  if (!a || !b) return b ?? a;
  return { ...b, units: b.units ?? a.units, queues: b.queues ?? a.queues };
}
