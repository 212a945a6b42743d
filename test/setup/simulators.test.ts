import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { type Program, startProgram } from '../support/program.ts';

let parent: string;
beforeAll(() => {
  parent = mkdtempSync(join(tmpdir(), 'flashdrop test simulators '));
});
afterAll(() => rmSync(parent, { recursive: true, force: true }));

type Demo = { engine: Program; address: string; providers: Map<string, string> };

/** An engine as `npm start` runs it, and what its banner tells. */
async function startDemo(...args: string[]): Promise<Demo> {
  const data = join(parent, 'data');
  const engine = startProgram('src/main.ts', { args: ['--data', data, '--port', '0', ...args] });
  const died = engine.ended.then(({ err }) => Promise.reject(new Error(`did not start: ${err}`)));
  died.catch(() => {}); // Later on its end is what the test asks for.
  onTestFinished(() => engine.kill('SIGKILL'));
  const told = () => engine.printed().out;
  const address = await Promise.race([
    eventually(() => /serves at (http\S+)/.exec(told())?.[1], { withinMs: 60_000 }),
    died,
  ]);
  const line = /simulated {5}(.*)/.exec(told())?.[1] ?? '';
  const pairs = line.split(', ').map((pair) => pair.split(' ') as [string, string]);
  return { engine, address, providers: new Map(pairs) };
}

const isServing = (url: string) =>
  fetch(`${url}/_control/book`).then(
    ({ ok }) => ok,
    () => false,
  );

describe('the demo', { timeout: 90_000 }, () => {
  test('leaves no simulator behind when it is killed', async () => {
    const { engine, providers } = await startDemo('--api-processes', '1');
    const urls = [...providers.values()];
    expect(urls).toHaveLength(3);
    engine.kill('SIGKILL');
    await engine.ended;
    await eventually(async () => !(await Promise.all(urls.map(isServing))).includes(true));
  });

  test('offers every way to pay, at simulators that end with it', async () => {
    const { engine, providers } = await startDemo();
    expect(engine.printed().out).toContain('pay with      wallet, stripe, alipay, wechat_pay\n');
    expect([...providers.keys()]).toEqual(['stripe', 'alipay', 'wechat_pay']);
    for (const url of providers.values()) expect(await isServing(url)).toBe(true);
    engine.kill('SIGTERM');
    expect(await engine.ended).toMatchObject({ code: 0, err: '' });
    for (const url of providers.values()) expect(await isServing(url)).toBe(false);
  });
});
