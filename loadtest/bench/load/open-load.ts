import { setPriority } from 'node:os';
import { setTimeout as wait } from 'node:timers/promises';
import { openMerchant } from '../../merchant.ts';
import { pace } from '../../workload/pacer.ts';
import { openWire, type WireAnswer } from '../../workload/wire.ts';
import { buyRequest } from './closed-loop.ts';

// One process of a crowd that comes at a fixed rate. It is separate from the bench, so that its CPU
// is known, and there are several, so that one busy core does not delay the schedule.

export type LoadOrder =
  /** More buyers, with money. */
  | { kind: 'gather'; count: number; prefix: string }
  | { kind: 'run'; rate: number; seconds: number };

export type LoadWord = { kind: 'gathered' } | { kind: 'ran'; run: LoadRun };

/** The results of a process' requests. Times in ms; accepted Buys from their scheduled start. */
export type LoadRun = {
  scheduled: number;
  /** Requests for which a buyer was left. */
  sent: number;
  accepted: Float32Array;
  /** Accepted Buys that were answered while the crowd still came. */
  inTime: number;
  /** Requests by the code of their refusal, or no_answer. */
  refused: Record<string, number>;
  behind: Float32Array;
};

const connectionsMax = 4_000;
const patienceMs = 10_000;
const priority = -10;
const codeOf = /"code":"(\w+)"/;

const { BENCH_ADDRESS: address = '', BENCH_DROP: drop = '' } = process.env;
/** Buyers without a unit, in the order of their next Buy; a refused one goes to the end. */
let buyers: string[] = [];

process.on('message', async (order: LoadOrder) => {
  const tell = (word: LoadWord) => process.send?.(word);
  if (order.kind === 'gather') {
    await gather(order);
    tell({ kind: 'gathered' });
  } else {
    tell({ kind: 'ran', run: await run(order) });
  }
});
process.on('disconnect', () => process.exit());
try {
  // A saturated engine must not take the time that the schedule needs.
  setPriority(priority);
} catch {
  // Only root may raise the priority; the pacing figures show whether it mattered.
}

async function gather({ count, prefix }: { count: number; prefix: string }): Promise<void> {
  const crowd = await openMerchant({ address, merchantKey: '' }).gatherCrowd(count, prefix);
  buyers = buyers.concat(
    crowd.map(({ buyer, token }) => buyRequest({ drop, token, key: `press-${buyer}` })),
  );
}

async function run({ rate, seconds }: { rate: number; seconds: number }): Promise<LoadRun> {
  const { hostname, port } = new URL(address);
  const wire = openWire({
    host: hostname,
    port: Number(port),
    connectionsMax,
    timeoutMs: patienceMs,
  });
  const scheduled = Math.round(rate * seconds);
  const times = Float64Array.from({ length: scheduled }, (_, n) => (n * 1_000) / rate);
  const started = performance.now();
  const now = () => performance.now() - started;
  const latencies: number[] = [];
  const behind: number[] = [];
  const refused: Record<string, number> = {};
  let sent = 0;
  let open = 0;
  let inTime = 0;

  function answered(request: string, dueMs: number, answer: WireAnswer | undefined): void {
    open -= 1;
    if (answer?.status === 202) {
      latencies.push(now() - dueMs);
      if (now() <= seconds * 1_000) inTime += 1;
      return;
    }
    const code = answer ? (codeOf.exec(answer.body)?.[1] ?? `http_${answer.status}`) : 'no_answer';
    refused[code] = (refused[code] ?? 0) + 1;
    buyers.push(request);
  }

  await pace({
    times,
    now,
    fire(_, dueMs) {
      behind.push(now() - dueMs);
      const request = buyers[sent];
      if (request === undefined) return;
      sent += 1;
      open += 1;
      wire.send(request, (answer) => answered(request, dueMs, answer));
    },
  });
  while (open > 0) await wait(20);
  wire.close();
  buyers = buyers.slice(sent);
  const [accepted, late] = [Float32Array.from(latencies), Float32Array.from(behind)];
  return { scheduled, sent, accepted, inTime, refused, behind: late };
}
