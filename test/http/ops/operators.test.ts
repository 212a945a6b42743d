import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type EngineProcess, startEngineProcess } from '../../support/engine-process.ts';
import { faultsOf } from '../../support/metrics-page.ts';

// What operators read, on an engine as npm start runs it: two api processes and one that settles.

let data: string;
let engine: EngineProcess;

beforeAll(async () => {
  data = mkdtempSync(join(tmpdir(), 'flashdrop-test-ops-'));
  engine = await startEngineProcess({ data, args: ['--api-processes', '2'] });
});
afterAll(async () => {
  await engine?.kill('SIGTERM');
  rmSync(data, { recursive: true, force: true });
});

const get = (url: string, headers: Record<string, string> = {}) => fetch(url, { headers });

function operatorKey(): string {
  return JSON.parse(readFileSync(join(data, 'secrets.json'), 'utf8')).operatorKey;
}

describe("The operators' own port", () => {
  test('Metrics, and which store is missing, are told on a port of their own that only this machine reaches', async () => {
    expect(engine.opsAddress).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    expect(new URL(engine.opsAddress).port).not.toBe(new URL(engine.address).port);
    const page = await get(`${engine.opsAddress}/metrics`);
    expect(page.headers.get('content-type')).toContain('text/plain; version=0.0.4');
    const text = await page.text();
    expect(text).toMatch(/^flashdrop_outbox_backlog -?\d/m);
    expect(faultsOf(text)).toEqual([]);
    const ready = await get(`${engine.opsAddress}/readyz`);
    expect(await ready.json()).toEqual({
      ready: true,
      redis: true,
      ledger: true,
      draining: false,
      redisAgeMs: expect.any(Number),
      ledgerAgeMs: expect.any(Number),
    });
    expect((await get(`${engine.opsAddress}/livez`)).status).toBe(200);
  });

  test("Nothing else is answered on the operators' port", async () => {
    for (const path of ['/', '/v1/drops', '/openapi.json', '/metrics/', '//metrics']) {
      expect((await get(engine.opsAddress + path)).status, path).toBe(404);
    }
    const posted = await fetch(`${engine.opsAddress}/metrics`, { method: 'POST' });
    expect([posted.status, posted.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
  });

  test('However many ask for metrics at once, one page is made, and all get it', async () => {
    const asked = Array.from({ length: 60 }, () => get(`${engine.opsAddress}/metrics`));
    const pages = await Promise.all((await Promise.all(asked)).map((answer) => answer.text()));
    // The processor time of the processes differs from one page to the next. On a slow machine the
    // callers come over more than one page's time, never so spread that each gets its own.
    expect(new Set(pages).size).toBeLessThan(20);
  });
});

describe('The public port', () => {
  test('On the public port metrics are for whoever has the operator key, and for nobody else', async () => {
    const merchant = { authorization: `Bearer ${engine.merchantKey}` };
    for (const headers of [{}, merchant, { authorization: 'Bearer nonsense' }]) {
      const refused = await get(`${engine.address}/metrics`, headers);
      expect(refused.status).toBe(401);
      expect(await refused.text()).not.toContain('flashdrop_');
    }
    const page = await get(`${engine.address}/metrics`, {
      authorization: `Bearer ${operatorKey()}`,
    });
    expect(page.status).toBe(200);
    expect(await page.text()).toMatch(/^flashdrop_outbox_backlog -?\d/m);
  });

  test('On the public port /readyz says whether to send requests, and no more', async () => {
    const ready = await get(`${engine.address}/readyz`);
    expect(ready.status).toBe(200);
    expect(await ready.json()).toEqual({ ready: true });
  });

  test('The OpenAPI document is written once, and a client that has it is told so by its ETag', async () => {
    const first = await get(`${engine.address}/openapi.json`);
    const etag = first.headers.get('etag') ?? '';
    const text = await first.text();
    expect(JSON.parse(text).openapi).toBe('3.1.0');
    // In every process the same bytes.
    for (let n = 0; n < 8; n += 1) {
      const connection = { connection: 'close', 'if-none-match': etag };
      const again = await get(`${engine.address}/openapi.json`, connection);
      expect([again.status, await again.text()]).toEqual([304, '']);
    }
    const page = await get(`${engine.address}/docs/json`);
    expect([page.headers.get('etag'), await page.text()]).toEqual([etag, text]);
  });
});
