import { createServer, type Server } from 'node:http';
import { type AddressInfo, createServer as createSocketServer } from 'node:net';
import autocannon from 'autocannon';
import { afterEach, expect, test } from 'vitest';
import { everyStep } from '../../loadtest/spike/every-step.ts';
import { openMerge } from '../../loadtest/spike/merge.ts';
import { readSpikeCommand } from '../../loadtest/spike/options.ts';
import { openCounters, type Step } from '../../loadtest/workload/counters.ts';
import { listInvited } from '../../loadtest/workload/invitations.ts';
import { pace } from '../../loadtest/workload/pacer.ts';
import { resolveParameters } from '../../loadtest/workload/parameters.ts';
import { drawRestarts, drawSchedule, groupsOf } from '../../loadtest/workload/schedule.ts';
import { openWire, type WireAnswer } from '../../loadtest/workload/wire.ts';

const parameters = resolveParameters({ scenario: { people: 3_000 }, scale: 1, speed: 1, set: {} });

let server: Server | undefined;
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

/** A server that answers nothing until `open` is called, then everything at once. */
async function stallingServer() {
  const held: (() => void)[] = [];
  let isOpen = false;
  let arrived = 0;
  server = createServer((_request, response) => {
    arrived += 1;
    const answer = () => void response.end('ok');
    if (isOpen) answer();
    else held.push(answer);
  });
  await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    arrived: () => arrived,
    open() {
      isOpen = true;
      for (const answer of held) answer();
    },
  };
}

test('the same seed draws the same crowd, another seed another one, whoever runs which part', () => {
  const groups = groupsOf(parameters);
  const all = drawSchedule(7, parameters, groups);
  expect(drawSchedule(7, parameters, groups)).toEqual(all);
  expect(drawSchedule(8, parameters, groups).times).not.toEqual(all.times);
  const parts = [0, 1].map((n) => {
    return drawSchedule(
      7,
      parameters,
      groups.filter((_, at) => at % 2 === n),
    );
  });
  const merged = parts.flatMap(({ times }) => [...times]).sort((a, b) => a - b);
  expect(merged).toEqual([...all.times]);
});

test('a list has everybody of the crowd but the uninvited, then others, as many as asked for', () => {
  const scenario = { people: 3_000, bots: 3, short: 0.1, appointments: 9_000, uninvited: 0.05 };
  const groups = groupsOf(resolveParameters({ scenario, scale: 1, speed: 1, set: {} }));
  const names = (kind?: string) =>
    groups
      .filter((group) => kind === undefined || group.kind === kind)
      .flatMap(({ prefix, count }) => Array.from({ length: count }, (_, n) => `${prefix}${n}`));
  expect(names()).toHaveLength(3_003);
  expect(names('uninvited')).toHaveLength(150);
  const read = (appointments: number) =>
    [...listInvited(groups, appointments)].flatMap((text) =>
      text.split('\n').flatMap((line) => (line === '' ? [] : (JSON.parse(line) as string))),
    );
  const listed = new Set(read(9_000));
  expect(listed.size).toBe(9_000);
  for (const name of names()) expect(listed.has(name)).toBe(!name.startsWith('uninvited'));
  expect(read(10)).toHaveLength(2_853);
});

test('a server that stalls holds up a closed loop and no schedule: a spike needs the pacer', async () => {
  const closed = await stallingServer();
  const load = autocannon({
    url: `http://127.0.0.1:${closed.port}`,
    connections: 10,
    amount: 500,
  });
  await new Promise((resolve) => setTimeout(resolve, 600));
  // Each connection waits for its answer: the rest of the crowd has not even come.
  expect(closed.arrived()).toBe(10);
  closed.open();
  await load;
  server?.closeAllConnections();
  server?.close();

  const open = await stallingServer();
  const wire = openWire({
    host: '127.0.0.1',
    port: open.port,
    connectionsMax: 600,
    timeoutMs: 9e3,
  });
  const started = performance.now();
  const now = () => performance.now() - started;
  const latencies: number[] = [];
  await pace({
    times: Float64Array.from({ length: 500 }, (_, n) => n),
    now,
    fire: (_, dueMs) =>
      wire.send('GET / HTTP/1.1\r\nhost: x\r\n\r\n', () => latencies.push(now() - dueMs)),
  });
  await expect.poll(open.arrived).toBe(500);
  open.open();
  await expect.poll(() => latencies.length).toBe(500);
  wire.close();
  // Who came first waited for as long as the others took to come: nothing of the stall is left out.
  expect(Math.max(...latencies)).toBeGreaterThan(450);
});

test('an answer that comes byte by byte is read whole; a lost connection is no answer', async () => {
  const text =
    'HTTP/1.1 409 Conflict\r\nRetry-After: 3\r\nIdempotency-Replayed: true\r\nContent-Length: 4\r\n\r\nheld';
  let asked = 0;
  const sockets = createSocketServer((socket) => {
    socket.on('data', async () => {
      asked += 1;
      if (asked > 1) {
        socket.destroy();
        return;
      }
      for (const letter of text) await new Promise((done) => socket.write(letter, done));
    });
  });
  await new Promise<void>((resolve) => sockets.listen(0, '127.0.0.1', resolve));
  const { port } = sockets.address() as AddressInfo;
  const wire = openWire({ host: '127.0.0.1', port, connectionsMax: 1, timeoutMs: 5_000 });
  const ask = () => new Promise<WireAnswer | undefined>((told) => wire.send('x', told));
  expect(await ask()).toEqual({ status: 409, retryAfter: 3, replayed: true, body: 'held' });
  expect(await ask()).toBeUndefined();
  wire.close();
  sockets.close();
});

test('a load that left late or not whole is called invalid, and by how much', () => {
  const paced = (behind: number[], planned: number) => {
    const merge = openMerge({ stepMs: 500, units: 1 });
    merge.add(aStep({ behind: Float32Array.from(behind) }));
    return merge.pacing(planned);
  };
  expect(paced([1, 2], 2)).toMatchObject({ valid: true, reason: undefined });
  expect(paced([1, 900], 2).reason).toContain('900 ms or more behind');
  expect(paced([1, 2], 3).reason).toContain('only 2 of 3');
});

function aStep(seen: Partial<Step>): Step {
  return {
    step: 0,
    scheduled: 0,
    sent: 0,
    followUps: 0,
    replayed: 0,
    looks: 0,
    refused: {},
    acceptedAt: new Float64Array(),
    latencies: {},
    behind: new Float32Array(),
    ...seen,
  };
}

test('the instants of the first and of the last unit are exact, whatever process and step they came from', () => {
  const merge = openMerge({ stepMs: 500, units: 4 });
  merge.add(aStep({ acceptedAt: Float64Array.of(41.26, 480) }));
  merge.add(aStep({ step: 1, acceptedAt: Float64Array.of(503.04, 990) }));
  merge.add(aStep({ step: 1, acceptedAt: Float64Array.of(501) }));
  merge.add(aStep({ step: 4, acceptedAt: Float64Array.of(2_100) }));
  const outcome = merge.outcome(1_500);
  expect(outcome).toMatchObject({ accepted: 6, firstAcceptedAtMs: 41.3, allAcceptedAtMs: 503 });
  // The best second is made of two steps; all but one of the six lie in it.
  expect(outcome.acceptedPerSecondPeak).toBe(5);
  // A look may have come between two orders: nothing is settled before the last was accepted.
  expect(outcome.settledAtMs).toBe(2_100);
  expect(openMerge({ stepMs: 500, units: 1 }).outcome(undefined)).toMatchObject({
    accepted: 0,
    firstAcceptedAtMs: undefined,
    allAcceptedAtMs: undefined,
  });
});

test('requests are the scheduled acts that were sent and what followed from them, counted apart', () => {
  let now = 100;
  const counters = openCounters({ stepMs: 500, now: () => now });
  counters.scheduled(90);
  now = 600;
  // Due in the first step and late: it was scheduled there and sent here.
  counters.scheduled(450);
  counters.current().followUps += 3;
  const merge = openMerge({ stepMs: 500, units: 1 });
  counters.take(true).forEach(merge.add);
  expect(merge.moments()).toMatchObject([
    { atMs: 0, scheduled: 2, sent: 1, followUps: 0 },
    { atMs: 500, scheduled: 0, sent: 1, followUps: 3 },
  ]);
  expect(merge.outcome(undefined)).toMatchObject({ requests: 5, followUps: 3 });
  expect(merge.pacing(2)).toMatchObject({ scheduled: 2, sent: 2 });
});

test('a step in which nothing happened and nobody looked is in the timeline, as a hole', () => {
  const merge = openMerge({ stepMs: 500, units: 1 });
  merge.add(aStep({ step: 0, sent: 1 }));
  merge.add(aStep({ step: 3, sent: 1 }));
  expect(merge.moments().map(({ atMs, sent, engine }) => [atMs, sent, engine])).toEqual([
    ...[
      [0, 1, undefined],
      [500, 0, undefined],
      [1_000, 0, undefined],
    ],
    [1_500, 1, undefined],
  ]);
});

test('units stand in the step in which they were so, however slow the answer was', () => {
  const merge = openMerge({ stepMs: 500, units: 9 });
  const units = {
    available: 9,
    held: 0,
    sold: 0,
    settlementLag: 0,
    ledger: { reserved: 0, paid: 0, released: 0, refunded: 0 },
  };
  merge.sample({ queues: undefined, processes: [] }, 100);
  merge.sample({ queues: undefined, processes: [] }, 1_100);
  merge.units(units, 120);
  expect(merge.moments().map(({ engine }) => engine?.units?.available)).toEqual([
    ...[9, undefined, undefined],
  ]);
});

test('a step is sampled once, however the timer falls', async () => {
  const started = performance.now();
  const steps: number[] = [];
  const end = everyStep({
    stepMs: 20,
    now: () => performance.now() - started,
    act: (atMs) => steps.push(Math.floor(atMs / 20)),
  });
  await expect.poll(() => steps.length).toBeGreaterThan(20);
  end();
  expect(new Set(steps).size).toBe(steps.length);
});

test('who waits for an answer when the crowd goes home hears that none came', async () => {
  const stalling = await stallingServer();
  const wire = openWire({
    host: '127.0.0.1',
    port: stalling.port,
    connectionsMax: 1,
    timeoutMs: 9e3,
  });
  const answer = new Promise((told) => wire.send('GET / HTTP/1.1\r\nhost: x\r\n\r\n', told));
  await expect.poll(stalling.arrived).toBe(1);
  let told = false;
  void answer.then(() => {
    told = true;
  });
  wire.close();
  await Promise.resolve();
  expect([told, await answer]).toEqual([true, undefined]);
});

test('when the crowd breaks off, whoever waits hears that no answer came, and can press again', async () => {
  const stalling = await stallingServer();
  const wire = openWire({
    host: '127.0.0.1',
    port: stalling.port,
    connectionsMax: 2,
    timeoutMs: 9e3,
  });
  const ask = () => {
    return new Promise<WireAnswer | undefined>((told) => {
      wire.send('GET / HTTP/1.1\r\nhost: x\r\n\r\n', told);
    });
  };
  const [first, second, queued] = [ask(), ask(), ask()];
  await expect.poll(stalling.arrived).toBe(2);
  wire.breakOff();
  expect([await first, await second]).toEqual([undefined, undefined]);
  const again = ask();
  await expect.poll(stalling.arrived).toBe(4);
  stalling.open();
  // Who had not been sent yet was not on a connection that broke.
  expect(await queued).toMatchObject({ status: 200 });
  expect(await again).toMatchObject({ status: 200 });
  wire.close();
  const restarts = drawRestarts({ ...parameters, restarts: 3, crowdMs: 60_000 });
  expect(restarts).toEqual([10_000, 30_000, 50_000]);
});

test('a misspelt scenario, parameter or value is refused with what was meant', () => {
  const told = (...args: string[]) => {
    const command = readSpikeCommand(args);
    return command.kind === 'refused' ? command.problems.join('; ') : command.kind;
  };
  expect(told('--scenario', 'waves', '--scale', '0.5')).toBe('run');
  expect(told('--scenario', 'wave')).toContain('waves');
  expect(told('--set', 'doubletap=0.5')).toContain('doubleTap');
  expect(told('--set', 'doubleTap=2')).toContain('at most 1');
  expect(told('--scale', '0')).toContain('--scale must be');
  expect(told('--url', 'http://127.0.0.1:1')).toContain('--merchant-key');
  expect(told('compare', 'a.json')).toContain('two files');
});
