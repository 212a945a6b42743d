import type { IncomingMessage, ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Drop } from '../../../src/domain/drop.ts';
import { canSharePort, listen, type Server } from '../../../src/http/server/server.ts';
import { startTestEngine, type TestEngine } from '../../support/engine.ts';
import { eventually } from '../../support/eventually.ts';
import { sharedRedisUrl } from '../../support/redis.ts';

let engine: TestEngine;
let server: Server;
let drop: Drop;

beforeAll(async () => {
  engine = await startTestEngine({
    redisUrl: sharedRedisUrl(),
    settling: false,
    settings: { headersTimeoutMs: 1_000, requestTimeoutMs: 1_500, keepAliveMs: 2_000 },
  });
  const { id } = await engine.merchant();
  drop = await engine.publish(id);
  server = await listen(engine.app, { host: '127.0.0.1', port: 0, reusePort: canSharePort });
});
afterAll(async () => {
  await server?.stop({ drainMs: 1_000 });
  await engine?.stop();
});

/** A connection whose every byte is seen. */
function open(port = server.port): { socket: Socket; received(): string; closed(): boolean } {
  const socket = connect(port, '127.0.0.1');
  let text = '';
  let closed = false;
  socket.on('data', (bytes) => {
    text += bytes.toString('latin1');
  });
  socket.on('close', () => {
    closed = true;
  });
  socket.on('error', () => {});
  return { socket, received: () => text, closed: () => closed };
}

const body = '{"sku":"phone","quantity":1,"payment":{"method":"wallet"}}';

type Case = [name: string, text: () => string];

function head(headers: Record<string, string> = {}): string {
  const all = {
    host: 'x',
    'content-type': 'application/json',
    'idempotency-key': 'k',
    'content-length': String(body.length),
    ...engine.buyer('ann'),
    ...headers,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return `POST /v1/drops/${drop.id}/orders HTTP/1.1\r\n${lines.join('')}\r\n`;
}

async function livez(): Promise<number> {
  return (await fetch(`${server.address}/livez`)).status;
}

test('An audit and an export may be silent for longer than a statement of the ledger takes, and other answers for 30 s', async () => {
  const { id, apiKey } = await engine.merchant();
  const own = await engine.publish(id);
  let silence: number | undefined;
  // Before the answer is sent: whoever waits for it has said nothing until then.
  const note = ({ socket }: IncomingMessage, response: ServerResponse) => {
    response.once('prefinish', () => {
      silence = socket.timeout;
    });
  };
  const allowed = async (path: string) => {
    engine.app.server.once('request', note);
    const headers = { authorization: `Bearer ${apiKey}`, connection: 'close' };
    await (await fetch(`${server.address}${path}`, { headers })).text();
    return silence;
  };
  const drops = `/v1/drops/${own.id}`;
  expect(await allowed(`${drops}/report`)).toBe(30_000);
  expect(await allowed(`${drops}/audit`)).toBe(900_000);
  expect(await allowed(`${drops}/orders?format=csv`)).toBe(60_000);
  expect(await allowed(`${drops}/appointments?format=csv`)).toBe(60_000);
});

describe('a connection is closed in time, while others are served, when it', () => {
  const halves: Case[] = [
    ['says nothing', () => ''],
    ['sends half a request line', () => 'GET /li'],
    ['sends half its headers', () => head().slice(0, 60)],
    ['sends half its body', () => head() + body.slice(0, 10)],
    ['promises a body and sends none', () => head()],
  ];
  test.for(halves)('%s', async ([, text]) => {
    const { socket, received, closed } = open();
    socket.write(text());
    expect(await livez()).toBe(200);
    await eventually(closed);
    // A peer that never began a request may be left without a word.
    if (received() !== '') expect(received()).toMatch(/^HTTP\/1\.1 408 /);
  });

  test('drips a byte now and then', async () => {
    const { socket, closed } = open();
    const text = head();
    let at = 0;
    const drip = setInterval(() => {
      if (!socket.destroyed) socket.write(text.slice(at, at + 1));
      at += 1;
    }, 100);
    try {
      await eventually(closed);
    } finally {
      clearInterval(drip);
    }
    expect(at).toBeLessThan(text.length);
  });
});

describe('With the production time-outs,', () => {
  let plain: TestEngine;
  beforeAll(async () => {
    plain = await startTestEngine({
      redisUrl: sharedRedisUrl(),
      ledger: engine.ledger,
      settling: false,
      settings: { headersTimeoutMs: 1_000 },
    });
  });
  afterAll(() => plain?.stop());

  test('any incomplete request is closed within about ten seconds', () => {
    const { requestTimeout, timeout } = plain.app.server;
    expect(requestTimeout).toBeGreaterThan(0);
    expect(requestTimeout).toBeLessThanOrEqual(9_000);
    expect(timeout).toBeGreaterThan(0);
  });

  test('An idle connection outlives those of balancers, whether it has had a request or not, however early an incomplete request is closed', async () => {
    const { port } = new URL(await plain.serve());
    const get = 'GET /livez HTTP/1.1\r\nhost: x\r\n\r\n';
    const [used, fresh, half] = [0, 0, 0].map(() => open(Number(port)));
    used?.socket.write(get);
    half?.socket.write(get.slice(0, 20));
    await eventually(() => used?.received().includes('live'));
    // nginx and others keep an idle connection for 60 seconds.
    const kept = /^keep-alive: timeout=(\d+)\r$/im.exec(used?.received() ?? '')?.[1];
    expect(Number(kept)).toBeGreaterThan(60);
    await eventually(() => half?.closed());
    for (const idle of [used, fresh]) {
      idle?.socket.write(get.replace('\r\n\r\n', '\r\nconnection: close\r\n\r\n'));
      await eventually(() => idle?.closed());
      expect(idle?.received()).toMatch(/HTTP\/1\.1 200 OK\r.*connection: close\r.*live\n$/is);
      idle?.socket.destroy();
    }
  });
});

describe('Bytes that are not a valid request are answered with a problem document', () => {
  async function send(text: string): Promise<string> {
    const { socket, received, closed } = open();
    socket.write(text);
    await eventually(() => closed() || received().includes('\r\n\r\n'));
    socket.destroy();
    return received();
  }

  const wrong: [...Case, status: number][] = [
    ['no HTTP', () => 'hello\r\n\r\n', 400],
    ['a control byte in the key', () => head({ 'idempotency-key': 'a\x01b' }), 400],
    ['a bare line feed in a header', () => head({ 'idempotency-key': 'a\nx-y: z' }), 400],
    ['no host', () => head().replace('host: x\r\n', ''), 400],
    ['two lengths', () => head({ 'Content-Length': '5' }), 400],
    ['a length that is none', () => head({ 'content-length': '-5' }), 400],
    ['a length and chunks', () => `${head({ 'transfer-encoding': 'chunked' })}0\r\n\r\n`, 400],
    ['headers of 20 KB', () => head({ 'x-long': 'x'.repeat(20_000) }), 431],
  ];
  test.for(wrong)('%s', async ([, make, status]) => {
    const answer = await send(make());
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(answer).toContain('application/problem+json');
    expect(answer).not.toMatch(/HPE_|node:|fastify|stack/i);
    expect(await livez()).toBe(200);
  });

  test('A line break in the path or the key never reaches a response header', async () => {
    for (const path of ['%0d%0aset-cookie:x', 'a%0aLocation:evil']) {
      const answer = await send(
        `GET /v1/drops/${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`,
      );
      expect(answer).toMatch(/^HTTP\/1\.1 404 /);
      expect(answer.toLowerCase()).not.toMatch(/^(?:set-cookie|location):/m);
    }
    const split = await send(head({ 'idempotency-key': 'a\r\nx-injected: 1' }) + body);
    expect(split.toLowerCase()).not.toMatch(/^x-injected:/m);
  });

  test('A body longer than allowed is refused before it is read', async () => {
    const answer = await send(head({ 'content-length': '1000000' }));
    expect(answer).toMatch(/^HTTP\/1\.1 413 /);
  });

  test('A chunked body longer than allowed is refused while it arrives', async () => {
    const chunk = `4000\r\n${' '.repeat(0x4000)}\r\n`;
    const chunked = head({ 'transfer-encoding': 'chunked' }).replace(/content-length: \d+\r\n/, '');
    expect(await send(`${chunked}${chunk.repeat(5)}`)).toMatch(/^HTTP\/1\.1 413 /);
  });
});

test('A stop finishes the requests in flight, reports not ready, and closes other connections', async () => {
  const other = await startTestEngine({
    redisUrl: sharedRedisUrl(),
    ledger: engine.ledger,
    settling: false,
  });
  const door = await listen(other.app, { host: '127.0.0.1', port: 0, reusePort: canSharePort });
  const { id } = await other.merchant();
  const sold = await other.publish(id);
  const socket = connect(door.port, '127.0.0.1');
  let text = '';
  socket.on('data', (bytes) => {
    text += bytes.toString();
  });
  socket.on('error', () => {});
  const request = head().replace(drop.id, sold.id);
  socket.write(request + body.slice(0, 10));
  await eventually(() => socket.readyState === 'open');
  expect((await fetch(`${door.address}/readyz`)).status).toBe(200);

  // Well before the deadline: whoever keeps the connection after the answer holds nothing up.
  const stopped = door.stop({ quietMs: 300, drainMs: 60_000 });
  await eventually(async () => (await fetch(`${door.address}/readyz`)).status === 503);
  socket.write(body.slice(10));
  await stopped;
  await eventually(() => text.includes('202 Accepted'));
  await expect(fetch(`${door.address}/livez`)).rejects.toThrow();
  await other.stop();
});

test('Listening on a port in use rejects with EADDRINUSE', async () => {
  const other = await startTestEngine({
    redisUrl: sharedRedisUrl(),
    ledger: engine.ledger,
    settling: false,
  });
  try {
    await expect(listen(other.app, { host: '127.0.0.1', port: server.port })).rejects.toMatchObject(
      { code: 'EADDRINUSE' },
    );
  } finally {
    await other.stop();
  }
});
