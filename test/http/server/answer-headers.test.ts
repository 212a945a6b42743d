import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestEngine, type TestEngine } from '../../support/engine.ts';
import { sharedRedisUrl } from '../../support/redis.ts';

let engine: TestEngine;
let address: string;
let drop: string;
let order: string;
let buyer: { authorization: string };
let merchant: { authorization: string };

beforeAll(async () => {
  engine = await startTestEngine({
    redisUrl: sharedRedisUrl(),
    settling: false,
    settings: { demo: true },
    operatorKey: 'an operator’s key of the tests, long enough',
  });
  const { id, authorization } = await engine.merchant();
  merchant = { authorization };
  buyer = engine.buyer('ann');
  drop = (await engine.publish(id)).id;
  address = await engine.serve();
  const bought = (await (await press('k1')).json()) as { id: string };
  order = bought.id;
});
afterAll(() => engine?.stop());

function press(key: string): Promise<Response> {
  return fetch(`${address}/v1/drops/${drop}/orders`, {
    method: 'POST',
    headers: { ...buyer, 'idempotency-key': key, 'content-type': 'application/json' },
    body: '{"sku":"phone","quantity":1,"payment":{"method":"wallet"}}',
  });
}

/** Sends bytes as they stand and reads the head of the answer. */
async function send(text: string): Promise<Headers> {
  const socket = connect(Number(new URL(address).port), '127.0.0.1');
  socket.write(text);
  let told = '';
  for await (const bytes of socket) {
    told += bytes;
    if (told.includes('\r\n\r\n')) break;
  }
  const [, ...lines] = told.slice(0, told.indexOf('\r\n\r\n')).split('\r\n');
  return new Headers(lines.map((line) => line.split(/: (.*)/, 2) as [string, string]));
}

function expectSafe(headers: Headers, what: string): void {
  expect(headers.get('x-content-type-options'), what).toBe('nosniff');
  expect(headers.get('referrer-policy'), what).toBe('no-referrer');
  const policy = headers.get('content-security-policy');
  expect(policy, what).toContain("default-src 'none'");
  expect(policy, what).toContain("frame-ancestors 'none'");
}

describe('Every answer', () => {
  test('Every answer forbids a browser to guess its type, run it, frame it or pass its address on, whoever writes it', async () => {
    const asked: [path: string, headers?: Record<string, string>][] = [
      ...[['/livez'], ['/readyz'], ['/metrics'], ['/docs/'], ['/docs/static/index.css']],
      ...[['/docs/errors'], ['/openapi.json'], ['/nothing'], ['/v1/drops/%00'], ['/%']],
      ...[[`/v1/drops/${drop}`], [`/v1/drops/${drop}`, { 'if-none-match': '*' }]],
      ...[['/v1/wallet'], ['/v1/wallet', buyer], [`/v1/orders/${order}`, buyer]],
      ...[[`/v1/drops/${drop}/orders?format=csv`, merchant], [`/v1/${'a'.repeat(200)}`]],
      [`/v1/drops/${'a'.repeat(200)}`],
    ] as [string, Record<string, string>?][];
    for (const [path, headers = {}] of asked) {
      expectSafe((await fetch(address + path, { headers })).headers, path);
    }
    for (const path of [`/v1/orders/${order}/stream`, `/v1/drops/${drop}/stream`]) {
      const stream = await fetch(address + path, { headers: buyer });
      expectSafe(stream.headers, path);
      await stream.body?.cancel();
    }
    for (const key of ['k1', 'k2', '']) expectSafe((await press(key)).headers, `Buy ${key}`);
    const raw = [
      'nonsense\r\n\r\n',
      'GET /livez HTTP/1.1\r\n\r\n',
      'TRACE / HTTP/1.1\r\nhost: x\r\n\r\n',
    ];
    for (const text of raw) expectSafe(await send(text), text);
  });

  test('No answer to somebody in particular and no refusal may be kept by a cache', async () => {
    const { paths } = (await (await fetch(`${address}/openapi.json`)).json()) as {
      paths: Record<string, Record<string, { security: Record<string, unknown>[] }>>;
    };
    const known: Record<string, string> = {
      drop,
      order,
      sku: 'phone',
      provider: 'wallet',
      topup: 'x',
    };
    const callers = [buyer, merchant, { authorization: 'Bearer nobody' }, {}];
    for (const [path, operations] of Object.entries(paths)) {
      const url = address + path.replace(/\{(\w+)\}/g, (_, name) => known[name] ?? name);
      for (const [method, { security }] of Object.entries(operations)) {
        if (path.endsWith('/stream')) continue;
        for (const headers of callers) {
          const answer = await fetch(url, { method: method.toUpperCase(), headers });
          await answer.arrayBuffer();
          const isPublic = security.length === 0 && answer.status < 400 && method === 'get';
          const expected = isPublic ? 'public, max-age=1' : 'no-store';
          expect(answer.headers.get('cache-control'), `${method} ${path}`).toBe(expected);
        }
      }
    }
    expect((await press('k1')).headers.get('cache-control')).toBe('no-store');
    for (const path of ['/livez', '/readyz', '/metrics', '/nothing', '/%']) {
      expect((await fetch(address + path)).headers.get('cache-control'), path).toBe('no-store');
    }
  });

  test('The page of the documentation loads nothing that its policy forbids', async () => {
    const page = await fetch(`${address}/docs/`);
    const policy = page.headers.get('content-security-policy') ?? '';
    expect(policy).toContain("script-src 'self';");
    const html = await page.text();
    expect(html).not.toMatch(/<script(?![^>]*\bsrc="\.?\/)[^>]*>|\son\w+=|src="https?:/);
    for (const [, file] of html.matchAll(/(?:src|href)="(\.?\/[^"]+)"/g)) {
      const loaded = await fetch(new URL(file as string, `${address}/docs/`));
      expect(loaded.status, file).toBe(200);
      expect(loaded.headers.get('content-type'), file).not.toContain('json');
    }
    const errors = await fetch(`${address}/docs/errors`);
    const style = /<style>(.*?)<\/style>/s.exec(await errors.text())?.[1] ?? '';
    const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', Buffer.from(style)));
    const allowed = `'sha256-${Buffer.from(digest).toString('base64')}'`;
    expect(errors.headers.get('content-security-policy')).toContain(allowed);
  });
});
