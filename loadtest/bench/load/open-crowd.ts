import { type ChildProcess, fork } from 'node:child_process';
import { on } from 'node:events';
import { availableParallelism } from 'node:os';
import type { EngineProcess } from '../../engine.ts';
import { openMerchant } from '../../merchant.ts';
import { openProcesses } from '../../probe/processes.ts';
import { summarise } from '../../spike/merge.ts';
import type { LoadOrder, LoadRun, LoadWord } from './open-load.ts';

/** The result of a crowd that came at a fixed rate, and what all processes used. */
export type OpenRun = {
  /** Buys a second that were due. */
  rate: number;
  scheduled: number;
  sent: number;
  /** Accepted Buys a second, of those answered while the crowd still came. */
  acceptedPerSecond: number;
  /** Latency of accepted Buys from when they were due, ms. */
  accepted: { count: number; p99: number; max: number };
  refused: Record<string, number>;
  behindMs: { p99: number; max: number };
  /** Cores by process. */
  cpu: Record<string, number>;
  /** Resident at most, all processes of the engine. */
  memoryBytes: number;
};

export type OpenCrowd = { run(rate: number, seconds: number): Promise<OpenRun>; stop(): void };

const units = 5_000_000;
const processes = Math.min(2, availableParallelism());
const sampleMs = 500;

/** A crowd in processes of its own, for one drop of an engine in demo mode. */
export async function openCrowd(engine: EngineProcess): Promise<OpenCrowd> {
  const drop = await openMerchant(engine).openDrop({ sku: 'phone', units });
  const loads = Array.from({ length: processes }, (_, n) =>
    openLoad({ address: engine.address, drop, name: `load-${n}` }),
  );
  return {
    async run(rate, seconds) {
      await Promise.all(loads.map((load) => load.gather((rate / processes) * seconds)));
      const watching = watch(
        engine.pid,
        loads.map(({ pid }) => pid),
      );
      const runs = await Promise.all(loads.map((load) => load.run(rate / processes, seconds)));
      return { ...merge(runs, { rate, seconds }), ...watching.end() };
    },
    stop() {
      for (const load of loads) load.stop();
    },
  };
}

function openLoad({ address, drop, name }: { address: string; drop: string; name: string }) {
  const child: ChildProcess = fork(new URL('./open-load.ts', import.meta.url), {
    env: { ...process.env, BENCH_ADDRESS: address, BENCH_DROP: drop },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    // Hands arrays of numbers over as they are.
    serialization: 'advanced',
  });
  const words = on(child, 'message', { close: ['exit'] });
  async function ask(order: LoadOrder): Promise<LoadWord> {
    child.send(order);
    const next = await words.next();
    if (next.done) throw new Error('a load process ended before it answered');
    return next.value[0] as LoadWord;
  }
  let left = 0;
  let gathered = 0;

  return {
    pid: child.pid as number,
    /** Prepares a buyer for each Buy of a run; refused buyers are used again. */
    async gather(wanted: number): Promise<void> {
      const count = Math.ceil(wanted - left);
      if (count <= 0) return;
      await ask({ kind: 'gather', count, prefix: `${name}-${gathered}-` });
      gathered += count;
      left += count;
    },
    async run(rate: number, seconds: number): Promise<LoadRun> {
      const told = await ask({ kind: 'run', rate, seconds });
      if (told.kind !== 'ran') throw new Error(`a load process said ${told.kind}`);
      left -= told.run.accepted.length;
      return told.run;
    },
    stop: () => void child.kill(),
  };
}

function merge(
  runs: LoadRun[],
  { rate, seconds }: { rate: number; seconds: number },
): Omit<OpenRun, 'cpu' | 'memoryBytes'> {
  const sum = (read: (run: LoadRun) => number) => runs.reduce((all, run) => all + read(run), 0);
  const refused: Record<string, number> = {};
  for (const run of runs) {
    for (const [code, count] of Object.entries(run.refused)) {
      refused[code] = (refused[code] ?? 0) + count;
    }
  }
  const accepted = summarise(runs.map((run) => run.accepted));
  const behind = summarise(runs.map((run) => run.behind));
  return {
    rate,
    refused,
    scheduled: sum((run) => run.scheduled),
    sent: sum((run) => run.sent),
    acceptedPerSecond: sum((run) => run.inTime) / seconds,
    accepted: { count: accepted.count, p99: accepted.p99, max: accepted.max },
    behindMs: { p99: behind.p99, max: behind.max },
  };
}

/** CPU and memory of engine and crowd from now to `end`; empty where /proc is missing. */
function watch(engine: number, loads: number[]) {
  const others = loads.map((pid, n) => ({ name: `crowd ${n + 1}`, pid }));
  const whole = openProcesses({ engine, others });
  const often = openProcesses({ engine, others: [] });
  let memoryBytes = 0;
  const look = () => {
    const now = often().reduce((sum, one) => sum + one.memoryBytes, 0);
    memoryBytes = Math.max(memoryBytes, now);
  };
  whole();
  const timer = setInterval(look, sampleMs);
  return {
    end() {
      clearInterval(timer);
      look();
      const cpu = Object.fromEntries(whole().map(({ name, cpu }) => [name, cpu]));
      return { cpu, memoryBytes };
    },
  };
}
