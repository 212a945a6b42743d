import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../../../src/embedded/free-port.ts';
import { startEngine } from '../../engine.ts';
import { type OpenCrowd, type OpenRun, openCrowd } from '../load/open-crowd.ts';
import { type Measured, median } from '../support/figures.ts';

const ramp = { from: 2_000, factor: 1.35, steps: 12, seconds: 3 };
/** A rate of which a smaller share of Buys is accepted is beyond the engine's capacity. */
const beyond = 0.7;
const seconds = 5;
/** Shares of the ramp's peak to try for longer; the best counts. */
const around = [0.7, 0.85, 1];
const overload = 3;
/** A load that is later than this at the 99th percentile did not follow its schedule, in ms. */
const behindMsMax = 250;

type Pair = { atPeak: OpenRun; above: OpenRun };

/**
 * Accepted Buys a second when three times as many come as the engine can take, against the most it
 * takes: the whole engine with its defaults, settling meanwhile, under a crowd that keeps to its
 * schedule. A ramp finds about where the peak is; each round finds its own and goes to three times it.
 */
export async function measureOverload(rounds: number): Promise<Measured[]> {
  const data = mkdtempSync(join(tmpdir(), 'flashdrop-bench-engine-'));
  const engine = await startEngine({ data, port: await freePort() });
  const crowd = await openCrowd(engine);
  try {
    const peak = await findPeak(crowd);
    const pairs: Pair[] = [];
    for (let round = 0; round < rounds; round += 1) {
      const runs: OpenRun[] = [];
      for (const share of around) runs.push(await crowd.run(share * peak.rate, seconds));
      const atPeak = best(runs);
      const above = await crowd.run(overload * atPeak.acceptedPerSecond, seconds);
      pairs.push({ atPeak, above });
    }
    return figuresOf(pairs);
  } finally {
    crowd.stop();
    await engine.stop();
    rmSync(data, { recursive: true, force: true });
  }
}

/** Why a run's load did not follow its schedule; undefined when it did. */
export function unpaced(run: OpenRun): string | undefined {
  const { rate, scheduled, sent, behindMs } = run;
  const asked = `${Math.round(rate)} Buys a second`;
  if (behindMs.p99 > behindMsMax) {
    return `this machine cannot pace ${asked}: 1 in 100 left ${Math.round(behindMs.p99)} ms or more behind the schedule (${behindMsMax} ms is allowed)`;
  }
  if (sent < scheduled) return `the crowd ran out at ${asked}: ${sent} of ${scheduled} pressed`;
  return undefined;
}

/** Of the pairs whose crowd kept to its schedule. Where none did, nothing is reported. */
export function figuresOf(all: Pair[]): Measured[] {
  const problemOf = ({ atPeak, above }: Pair) => unpaced(atPeak) ?? unpaced(above);
  const pairs = all.filter((pair) => problemOf(pair) === undefined);
  if (pairs.length === 0) {
    const reason = all.map(problemOf).find(Boolean) ?? 'it was not run';
    return [{ name: 'overload_goodput_ratio', reason, budget: true }];
  }
  const of = (read: (run: OpenRun) => number, which: keyof Pair) =>
    median(pairs.map((pair) => read(pair[which])));
  const goodput = (run: OpenRun) => run.acceptedPerSecond;
  const refusals = (run: OpenRun) =>
    Object.values(run.refused).reduce((sum, count) => sum + count, 0) / run.scheduled;
  const shares = (which: keyof Pair) => {
    const all = Object.entries(pairs.at(-1)?.[which].cpu ?? {}).map(
      ([name, share]) => `${name} ${share.toFixed(2)}`,
    );
    return all.length > 0 ? `cores: ${all.join(', ')}` : 'cores: not told here';
  };
  const rate = Math.round(of((run) => run.rate, 'above'));
  const at = `${rate} Buys a second due`;
  return [
    {
      name: 'peak_buys_per_second',
      value: of(goodput, 'atPeak'),
      unit: '/s',
      how: `accepted, whole engine with its defaults, settling; ${shares('atPeak')}`,
    },
    {
      name: 'overload_buys_per_second',
      value: of(goodput, 'above'),
      unit: '/s',
      how: `accepted with ${at}; ${shares('above')}`,
    },
    {
      name: 'overload_goodput_ratio',
      value: median(pairs.map(({ atPeak, above }) => goodput(above) / goodput(atPeak))),
      unit: 'x',
      min: 0.9,
      how: `the second ÷ the first, ${seconds} s each; the crowd kept to its schedule in ${pairs.length} of ${all.length} pairs`,
      why: 'crowd and engine share the cores: what comes beyond the peak takes them for being sent, received and refused (docs/decisions/0008-where-the-time-goes.md)',
    },
    {
      name: 'overload_refused_share',
      value: of(refusals, 'above'),
      unit: 'x',
      how: `of requests, ${codes(pairs.map(({ above }) => above))}`,
    },
    {
      name: 'overload_accepted_p99_ms',
      value: of((run) => run.accepted.p99, 'above'),
      unit: 'ms',
      how: `of accepted Buys from when they were due, with ${at}; at the peak ${Math.round(of((run) => run.accepted.p99, 'atPeak'))} ms`,
    },
    {
      name: 'overload_memory_mb',
      value: of((run) => run.memoryBytes, 'above') / 1e6,
      unit: 'MB',
      how: `resident at most, all processes of the engine; at the peak ${Math.round(of((run) => run.memoryBytes, 'atPeak') / 1e6)} MB`,
    },
  ];
}

function codes(runs: OpenRun[]): string {
  const sums: Record<string, number> = {};
  for (const { refused } of runs) {
    for (const [code, count] of Object.entries(refused)) sums[code] = (sums[code] ?? 0) + count;
  }
  const told = Object.entries(sums).map(([code, count]) => `${code} ${count}`);
  return told.length > 0 ? told.join(', ') : 'none';
}

/**
 * The rate at which most was accepted. The first step finds a cold engine and does not count; one that
 * falls short may have been disturbed, two are beyond the peak.
 */
async function findPeak(crowd: OpenCrowd): Promise<OpenRun> {
  await crowd.run(ramp.from, ramp.seconds);
  const runs: OpenRun[] = [];
  let short = 0;
  for (let step = 0; step < ramp.steps && short < 2; step += 1) {
    const run = await crowd.run(ramp.from * ramp.factor ** step, ramp.seconds);
    runs.push(run);
    short = run.acceptedPerSecond < beyond * run.rate ? short + 1 : 0;
  }
  return best(runs);
}

function best(runs: OpenRun[]): OpenRun {
  return runs.reduce((a, b) => (b.acceptedPerSecond > a.acceptedPerSecond ? b : a));
}
