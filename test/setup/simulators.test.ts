import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { BookedCharge } from '../../simulators/protocol.ts';
import { eventually } from '../support/eventually.ts';
import { startMs } from '../support/patience.ts';
import { type Program, startProgram } from '../support/program.ts';
import { openControl } from '../support/simulators.ts';

let parent: string;
beforeAll(() => {
  parent = mkdtempSync(join(tmpdir(), 'flashdrop test simulators '));
});
afterAll(() => rmSync(parent, { recursive: true, force: true }));

type Demo = { engine: Program; address: string; providers: Map<string, string> };

/** An engine as `npm start` runs it, and what its banner prints. */
async function startDemo(...args: string[]): Promise<Demo> {
  const data = join(parent, 'data');
  const engine = startProgram('src/main.ts', { args: ['--data', data, '--port', '0', ...args] });
  const died = engine.ended.then(({ err }) => Promise.reject(new Error(`did not start: ${err}`)));
  died.catch(() => {}); // Later the test itself ends it.
  onTestFinished(async () => {
    engine.kill('SIGTERM');
    await engine.ended;
  });
  const banner = () => engine.printed().out;
  const address = await Promise.race([
    eventually(() => /serves at (http\S+)/.exec(banner())?.[1], { withinMs: startMs }),
    died,
  ]);
  const line = /simulated {5}(.*)/.exec(banner())?.[1] ?? '';
  const pairs = line.split(', ').map((pair) => pair.split(' ') as [string, string]);
  return { engine, address, providers: new Map(pairs) };
}

const isServing = (url: string) =>
  fetch(`${url}/_control/book`).then(
    ({ ok }) => ok,
    () => false,
  );

/** A buyer of the demo orders and pays at the provider, which notifies the engine. */
async function expectPaidAt(
  provider: string,
  method: string,
  { engine, address }: Pick<Demo, 'engine' | 'address'>,
): Promise<void> {
  const drop = /demo drop .*\/(drop_\w+)/.exec(engine.printed().out)?.[1];
  const minted = await fetch(`${address}/demo/tokens`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ sub: `payer-${method}` }),
  });
  const { token } = (await minted.json()) as { token: string };
  const call = async (path: string, body?: object) => {
    const response = await fetch(`${address}${path}`, {
      ...(body && { method: 'POST', body: JSON.stringify(body) }),
      headers: {
        authorization: `Bearer ${token}`,
        'idempotency-key': method,
        ...(body && { 'content-type': 'application/json' }),
      },
    });
    const text = await response.text();
    expect({ ok: response.ok, text }).toMatchObject({ ok: true });
    return JSON.parse(text);
  };
  const control = openControl(provider);
  const bought = { sku: 'mi2-16gb', quantity: 1, payment: { method } };
  const { id } = await call(`/v1/drops/${drop}/orders`, bought);
  const { action } = await call(`/v1/orders/${id}/payment`, { method });
  // The buyer opens the payment page; Alipay has the payment only from then on.
  if (action.kind === 'redirect') expect((await fetch(action.url)).status).toBe(200);
  const [charge] = (await control<{ charges: BookedCharge[] }>('GET', 'book')).charges;
  expect(charge).toMatchObject({ state: 'open', amount: 199_900, currency: 'CNY' });
  await control('POST', `charges/${charge?.reference}/pay`);
  await eventually(async () => (await call(`/v1/orders/${id}`)).state === 'paid');
  // The notification reached the engine although its port was any free one.
  await eventually(async () => (await control<{ taken: number }>('GET', 'book')).taken >= 1);
}

describe('the demo', () => {
  test('A killed demo leaves no simulator running', async () => {
    const { engine, providers } = await startDemo('--api-processes', '1');
    const urls = [...providers.values()];
    expect(urls).toHaveLength(3);
    engine.kill('SIGKILL');
    await engine.ended;
    await eventually(async () => !(await Promise.all(urls.map(isServing))).includes(true));
  });

  test('A demo offers every payment method, at simulators that end with it', async () => {
    const { engine, address, providers } = await startDemo();
    expect(engine.printed().out).toContain('pay with      wallet, stripe, alipay, wechat_pay\n');
    expect([...providers.keys()]).toEqual(['stripe', 'alipay', 'wechat_pay']);
    for (const [method, url] of providers) await expectPaidAt(url, method, { engine, address });
    engine.kill('SIGTERM');
    expect(await engine.ended).toMatchObject({ code: 0, err: '' });
    for (const url of providers.values()) expect(await isServing(url)).toBe(false);
  });
});
