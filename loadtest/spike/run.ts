import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { cpus, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../../src/embedded/free-port.ts';
import { auditSale } from '../auditor/auditor.ts';
import { linesIn } from '../auditor/clients.ts';
import { type EngineProcess, startEngine } from '../engine.ts';
import { openMerchant } from '../merchant.ts';
import { openProbe } from '../probe/probe.ts';
import type { SpikeRecord } from '../record/record.ts';
import type { Terminal } from '../report/terminal.ts';
import { openCrowd } from './crowd.ts';
import { factsOf } from './engine-facts.ts';
import { everyStep } from './every-step.ts';
import { invite } from './invite.ts';
import { openMerge } from './merge.ts';
import type { SpikeOptions } from './options.ts';
import { assertUsable } from './preflight.ts';
import { prepareSale } from './sale.ts';
import { openWaiting } from './stopping.ts';

/** The progress of a run. */
export type Progress = Pick<Terminal, 'phase' | 'moment'>;

/** A sale of a few seconds gets shorter steps. */
const stepMs = { short: 250, long: 500 };
const shortCrowdMs = 20_000;
/** Between the start signal and the first scheduled act, in ms. */
const marginMs = 1_500;
const settleMsMax = 300_000;

/**
 * A whole sale: engine, drop, appointments, crowd, settlement, audit. Once `stop` is aborted it ends
 * all that it started and rejects.
 */
export async function runSpike(
  options: SpikeOptions,
  { progress, stop }: { progress: Progress; stop: AbortSignal },
): Promise<SpikeRecord> {
  const folder = mkdtempSync(join(tmpdir(), 'flashdrop-spike-'));
  let engine: EngineProcess | undefined;
  try {
    if (!options.target) {
      progress.phase('start');
      engine = await startEngine({ data: join(folder, 'data'), port: await freePort(), stop });
    }
    return await replay({ options, progress, folder, engine, stop });
  } finally {
    await engine?.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function replay(run: {
  options: SpikeOptions;
  progress: Progress;
  folder: string;
  engine: EngineProcess | undefined;
  stop: AbortSignal;
}): Promise<SpikeRecord> {
  const { options, progress, folder, engine, stop } = run;
  const { seed, processes, scenario, scale, speed, target } = options;
  const startedAt = new Date().toISOString();
  const address = engine?.address ?? target?.url ?? '';
  const merchantKey = engine?.merchantKey ?? target?.merchantKey ?? '';
  const opsAddress = engine?.opsAddress ?? target?.opsUrl;
  const going = openWaiting(stop);
  await going(assertUsable({ address, merchantKey }));
  const facts = await going(factsOf({ opsAddress, own: engine !== undefined }));
  const merchant = openMerchant({ address, merchantKey });
  const { drop, title, currency, items, perBuyer, parameters } = await prepareSale(
    merchant,
    options,
  );
  const { units, people, bots, leadMs, appointments } = parameters;
  const step = parameters.crowdMs <= shortCrowdMs ? stepMs.short : stepMs.long;
  const merge = openMerge({ stepMs: step, units });
  progress.phase('gather', `${people} people and their money`);
  const crowd = openCrowd({
    address,
    currency,
    seed,
    parameters,
    processes,
    folder,
    stepMs: step,
    onSteps: (steps) => steps.forEach(merge.add),
  });
  let begun = false;
  try {
    const planned = await going(crowd.gathered);
    if (appointments > 0) progress.phase('import', `${appointments} appointments`);
    const invited = await going(invite({ merchant, drop, groups: crowd.groups, parameters, stop }));
    // Only now: the opening waits for the import, not the import for the opening.
    const opensAt = Date.now() + leadMs + marginMs;
    const now = () => Date.now() - opensAt;
    await going(merchant.moveOpening(drop, opensAt));
    begun = true;
    crowd.go({ opensAt, goods: { drop, items } });
    progress.phase('wait', `${Math.round((opensAt - Date.now()) / 1_000)} s`);
    const opening = setTimeout(() => progress.phase('sale'), opensAt - Date.now());
    const probe = openProbe({
      address,
      opsAddress,
      merchantKey,
      drop,
      waitMsMax: step / 2,
      enginePid: engine?.pid,
      processes: crowd.pids.map((pid, n) => ({ name: `load ${n + 1}`, pid })),
    });
    const endSampling = everyStep({
      stepMs: step,
      now,
      async act(atMs) {
        const { engine, units } = await probe.sample();
        merge.sample(engine, atMs);
        for (const { at, seen } of units) merge.units(seen, at - opensAt);
        const last = merge.last();
        if (last) progress.moment(last);
      },
    });
    let settledAtMs: number | undefined;
    try {
      await going(crowd.done);
      progress.phase('settle');
      const settledAt = await going(probe.untilSettled(settleMsMax));
      settledAtMs = settledAt && Math.round(now() - (performance.now() - settledAt));
    } finally {
      endSampling();
      clearTimeout(opening);
      await probe.close();
    }
    progress.phase('audit');
    const verdict = await going(
      auditSale({
        head: {
          drop,
          items,
          perBuyer,
          crowds: crowd.groups.map(({ prefix, count, kind }) => {
            return { prefix, count, uninvited: kind === 'uninvited' };
          }),
        },
        lines: linesIn(crowd.books),
        sources: merchant,
      }),
    );
    const { name, real } = scenario;
    const past = options.rehearsed === undefined ? real : undefined;
    return {
      format: 'flashdrop-spike/1',
      scenario: { name, title, real: past },
      parameters,
      plan: { scale, speed, seed, processes: crowd.pids.length, command: options.command },
      engine: { url: address, own: engine !== undefined, ...facts.engine },
      machine: machine(),
      versions: {
        // An engine that the run did not start may be of another version that does not report it.
        flashdrop: engine ? version() : 'not told',
        node: process.version,
        redis: facts.redisVersion,
      },
      startedAt,
      sale: { drop, units, buyers: people + bots, ...invited },
      pacing: merge.pacing(planned),
      outcome: merge.outcome(settledAtMs),
      timeline: merge.moments(),
      latency: merge.latency(),
      verdict,
    };
  } finally {
    await crowd.stop();
    // A drop that nobody came to would wait for its opening on the engine of somebody else.
    if (!begun && target) await merchant.cancel(drop).catch(() => {});
  }
}

function machine(): SpikeRecord['machine'] {
  const [first] = cpus();
  return {
    cpu: first?.model ?? 'unknown',
    cores: cpus().length,
    memoryBytes: totalmem(),
    platform: `${process.platform} ${process.arch}`,
  };
}

function version(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
