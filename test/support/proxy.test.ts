import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startProxy, type TcpProxy } from './proxy.ts';
import { sharedRedisUrl } from './redis.ts';

// The fault tests are only as good as the faults, so each kind is shown to happen.

let proxy: TcpProxy;
let direct: Redis;
let through: Redis;
const key = `proxy-test:${process.pid}`;

beforeAll(() => {
  direct = new Redis(sharedRedisUrl());
});
afterAll(async () => {
  await direct.del(key);
  direct.disconnect();
});

beforeEach(async () => {
  const url = new URL(sharedRedisUrl());
  proxy = await startProxy({ host: url.hostname, port: Number(url.port) });
  url.hostname = proxy.host;
  url.port = String(proxy.port);
  through = new Redis(url.href, { maxRetriesPerRequest: 0, commandTimeout: 300 });
  through.on('error', () => {});
  await through.set(key, 0);
});
afterEach(async () => {
  through.disconnect();
  await proxy.close();
});

describe('the proxy', () => {
  test('passes everything on', async () => {
    expect(await through.incr(key)).toBe(1);
    expect(proxy.links()).toBe(1);
  });

  test('delays each way', async () => {
    proxy.set('delay', { delayMs: 60 });
    const started = performance.now();
    await through.incr(key);
    expect(performance.now() - started).toBeGreaterThan(110);
  });

  test('swallows without ending the link: nothing arrives and nothing is refused', async () => {
    proxy.set('blackhole');
    await expect(through.incr(key)).rejects.toThrow(/timed out/);
    expect(await direct.get(key)).toBe('0');
    expect(proxy.links()).toBe(1);
  });

  test('cuts the link before a reply, after the server has done the work', async () => {
    proxy.cutBeforeReply(2);
    expect(await through.incr(key)).toBe(1);
    await expect(through.incr(key)).rejects.toThrow();
    expect(await direct.get(key)).toBe('2');
    expect(proxy.cuts()).toBe(1);
  });

  test('tears down what is open and refuses what comes, until it passes again', async () => {
    proxy.set('reset');
    await expect(through.incr(key)).rejects.toThrow();
    expect(await direct.get(key)).toBe('0');
    proxy.set('pass');
    await new Promise((resolve) => through.once('ready', resolve));
    expect(await through.incr(key)).toBe(1);
  });
});
