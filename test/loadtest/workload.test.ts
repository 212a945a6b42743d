import { createServer, type Server } from 'node:http';
import { type AddressInfo, createServer as createSocketServer } from 'node:net';
import autocannon from 'autocannon';
import { afterEach, expect, test } from 'vitest';
import { openMerge } from '../../loadtest/spike/merge.ts';
import { readSpikeCommand } from '../../loadtest/spike/options.ts';
import { pace } from '../../loadtest/workload/pacer.ts';
import { resolveParameters } from '../../loadtest/workload/parameters.ts';
import { drawSchedule, groupsOf } from '../../loadtest/workload/schedule.ts';
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

test('a server that stalls holds up a closed loop and no schedule: a spike needs the pacer', async () => {
  const closed = await stallingServer();
  const load = autocannon({
    url: `http://127.0.0.1:${closed.port}`,
    ...{ connections: 10, amount: 500 },
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
  }).done;
  await expect.poll(open.arrived, { timeout: 5_000 }).toBe(500);
  open.open();
  await expect.poll(() => latencies.length, { timeout: 5_000 }).toBe(500);
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
      if (asked > 1) return socket.destroy();
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
  const step = { step: 0, scheduled: 2, sent: 2, accepted: 0, replayed: 0, looks: 0, refused: {} };
  const paced = (behind: number[], planned: number) => {
    const merge = openMerge({ stepMs: 500, units: 1 });
    merge.add({ ...step, latencies: {}, behind: Float32Array.from(behind) });
    return merge.pacing(planned);
  };
  expect(paced([1, 2], 2)).toMatchObject({ valid: true, reason: undefined });
  expect(paced([1, 900], 2).reason).toContain('900 ms or more behind');
  expect(paced([1, 2], 3).reason).toContain('only 2 of 3');
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
