import { connect } from 'node:net';
import fc from 'fast-check';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isProblemCode } from '../../../src/http/problems/problems.ts';
import { openFastify } from '../../../src/http/server/fastify.ts';
import { startTestEngine, type TestEngine } from '../../support/engine.ts';
import { sharedRedisUrl } from '../../support/redis.ts';

let engine: TestEngine;
let port: number;
beforeAll(async () => {
  engine = await startTestEngine({ redisUrl: sharedRedisUrl(), settling: false });
  port = Number(new URL(await engine.serve()).port);
});
afterAll(() => engine?.stop());

type Told = { status: number; type: string; allow: string; body: string };

/** Sends an address as it stands, byte for byte. */
async function ask(method: string, address: string, more = ''): Promise<Told> {
  const socket = connect(port, '127.0.0.1');
  const head = `${method} ${address} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n${more}\r\n`;
  socket.write(Buffer.from(head, 'latin1'));
  let text = '';
  for await (const bytes of socket) text += (bytes as Buffer).toString('latin1');
  const [headers = '', body = ''] = text.split(/\r\n\r\n(.*)/s);
  const header = (name: string) =>
    new RegExp(`^${name}: (.*)\\r?$`, 'im').exec(headers)?.[1]?.trim() ?? '';
  const status = Number(/^HTTP\/1\.1 (\d+)/.exec(headers)?.[1]);
  return { status, type: header('content-type'), allow: header('allow'), body };
}

/** No answer is a failure of ours, and every refusal is a problem of the catalogue. */
function expectFit({ status, type, body }: Told, what: string, method = 'GET'): void {
  expect(status, what).toBeLessThan(500);
  expect(status, what).toBeGreaterThanOrEqual(200);
  if (status < 400) return;
  expect(type, what).toContain('application/problem+json');
  expect(body, what).not.toMatch(/node_modules|FST_|ENOENT|\.js:/);
  if (method === 'HEAD') return;
  const problem = JSON.parse(body.slice(body.indexOf('{'), body.lastIndexOf('}') + 1));
  expect(problem.status, what).toBe(status);
  expect(isProblemCode(problem.code), what).toBe(true);
}

function failuresLogged(): string[] {
  return engine.logged.filter((line) => JSON.parse(line).level >= 50);
}

const odd = [
  ...['/docs/static/.', '/docs/static/..', '/docs/static/.env', '/docs/static/', '/docs/static'],
  ...['/docs/static/../package.json', '/docs/static/%2e%2e/package.json', '/docs/static/..%2f..'],
  ...['/docs/static/%00', '/docs/static/a%00.js', '/docs/static/%', '/docs/static/%ff'],
  ...[`/docs/static/${'a'.repeat(5_000)}`, '/docs/static/a/b/c', '/docs/static/%5c..%5c'],
  ...['/docs/', '/docs/json', '/docs/yaml', '/docs/static/index.html', '/docs//errors', '/docs/%'],
  ...['/%', '/%2', '/%zz', '/%ff', '/%c0%af', '/%00', '/.', '/..', '/../etc/passwd', '//', '///a'],
  ...['/v1/drops/%', '/v1/drops/%00', '/v1/drops/..', '/v1/drops/%2e%2e', '/v1/drops//orders'],
  ...[`/v1/drops/${'a'.repeat(101)}`, `/${'a'.repeat(7_000)}`, '/v1/drops/\xff', '/\xe4\xbd\xa0'],
  ...['/v1/drops?limit=%', '/v1/drops?limit=%ff&limit=1', '/v1/drops/x?a[]=1&__proto__=1'],
  ...['/__proto__', '/constructor', '/v1/orders/__proto__', '/v1/payments/__proto__/notifications'],
  ...['*', 'x', 'http://', 'http://x', 'http://x/docs/static/.', 'http://x/%', 'ftp://x/livez'],
  ...['/livez;a=b', '/livez?', '/livez/', '/LIVEZ', '/livez#x', '/livez%20', '/livez%2f'],
];

describe('Addresses', () => {
  test('No address is answered with a failure of ours, and every refusal is a problem of the catalogue', async () => {
    for (const address of odd) {
      for (const method of ['GET', 'HEAD', 'POST', 'OPTIONS']) {
        const what = `${method} ${address.slice(0, 60)}`;
        expectFit(await ask(method, address), what, method);
      }
    }
    expect(failuresLogged()).toEqual([]);
  });

  test('No address made of odd pieces is answered with a failure of ours', async () => {
    const piece = fc.constantFrom(
      ...['docs', 'static', 'v1', 'drops', 'orders', 'openapi.json', '..', '.', '', '%', '%2e'],
      ...['%2f', '%00', '%ff', '%25', '\xff', '*', ':drop', '?', '#', ';', '~', '\\', 'index.html'],
    );
    const address = fc
      .array(piece, { minLength: 1, maxLength: 6 })
      .map((all) => `/${all.join('/')}`);
    await fc.assert(
      fc.asyncProperty(address, async (one) => expectFit(await ask('GET', one), one)),
      { numRuns: 150 },
    );
    expect(failuresLogged()).toEqual([]);
  });

  test('A request for a file of the documentation that is not there or not allowed says so by its status', async () => {
    expect(await ask('GET', '/docs/static/nothing.js')).toMatchObject({ status: 404 });
    expect(await ask('GET', '/docs/static/..%2fpackage.json')).toMatchObject({ status: 404 });
    const range = await ask('GET', '/docs/static/index.css', 'range: bytes=99999999-\r\n');
    expect(JSON.parse(range.body)).toMatchObject({ status: 416, code: 'request_refused' });
    const stale = await ask('GET', '/docs/static/index.css', 'if-match: "other"\r\n');
    expect(JSON.parse(stale.body)).toMatchObject({ status: 412, code: 'request_refused' });
  });

  test('A wrong method is answered 405 with the right ones, however the address is spelled', async () => {
    for (const address of ['/v1/drops', '/v1/drops?a=b', '/v1/%64rops', 'http://x/v1/drops?a']) {
      const told = await ask('DELETE', address);
      expect(told, address).toMatchObject({ status: 405, allow: 'GET, HEAD, POST' });
    }
    for (const address of ['//v1/drops', '/V1/drops']) {
      expect(await ask('DELETE', address), address).toMatchObject({ status: 404 });
    }
  });
});

describe('An error with a status', () => {
  test('A 4xx that Fastify or a plugin raises is answered under its status without a line in the log; any other error is ours', async () => {
    const lines: string[] = [];
    const log = pino({ level: 'debug' }, { write: (line: string) => void lines.push(line) });
    const app = openFastify({ settings: {}, log, onShed: () => {} });
    app.get<{ Params: { status: string } }>('/plugin/:status', async ({ params }) => {
      throw Object.assign(new Error('inside'), { statusCode: Number(params.status), expose: true });
    });
    app.get('/provider', async () => {
      throw Object.assign(new Error('inside'), { statusCode: 402, code: 'card_declined' });
    });
    for (let status = 400; status < 500; status += 1) {
      const answer = await app.inject(`/plugin/${status}`);
      expect(answer.statusCode).toBe(status);
      expect(answer.headers['content-type']).toContain('application/problem+json');
      expect(answer.json()).toMatchObject({ status });
      expect(isProblemCode(answer.json().code)).toBe(true);
      expect(answer.body).not.toContain('inside');
    }
    expect(lines).toEqual([]);
    expect((await app.inject('/provider')).json()).toMatchObject({ code: 'internal_error' });
    expect((await app.inject('/plugin/503')).json()).toMatchObject({ code: 'internal_error' });
    expect(lines).toHaveLength(2);
    await app.close();
  });
});
