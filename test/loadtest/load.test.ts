import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { request } from 'undici';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readLoadOptions } from '../../loadtest/load/options.ts';
import { openMerchant } from '../../loadtest/merchant.ts';
import { type EngineProcess, startEngineProcess } from '../support/engine-process.ts';
import { eventually } from '../support/eventually.ts';
import { nodeFlags } from '../support/program.ts';

const at = (path: string) => fileURLToPath(new URL(`../../loadtest/${path}`, import.meta.url));
const sku = 'phone';

let parent: string;
let engine: EngineProcess;
let merchant: ReturnType<typeof openMerchant>;

beforeAll(async () => {
  parent = mkdtempSync(join(tmpdir(), 'flashdrop load '));
  engine = await startEngineProcess({ data: join(parent, 'data') });
  const { address, merchantKey = '' } = engine;
  merchant = openMerchant({ address, merchantKey });
});
afterAll(async () => {
  await engine?.kill('SIGTERM');
  rmSync(parent, { recursive: true, force: true });
});

/** A command as a user runs it, from a folder of the test's. */
function run(program: 'load' | 'tokens', args: string[], env: Record<string, string> = {}) {
  const temporary = mkdtempSync(join(parent, 'temporary-'));
  const child = spawn(process.execPath, [...nodeFlags, at(`${program}.ts`), ...args], {
    cwd: parent,
    env: {
      ...process.env,
      FLASHDROP_DEMO: 'on',
      FLASHDROP_API_KEY: engine.merchantKey ?? '',
      TMPDIR: temporary,
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (part: string) => {
      text += part;
    });
  }
  const ended = once(child, 'close').then(([code]) => code as number | null);
  return { child, ended, text: () => text, left: () => readdirSync(temporary) };
}

async function ordersOf(drop: string) {
  const orders: { buyer: string; state: string }[] = [];
  for await (const order of merchant.orders(drop)) orders.push(order);
  return orders;
}

async function tokensFile(name: string, count: number): Promise<string> {
  const { ended, text } = run('tokens', [
    ...['--file', name, '--count', String(count), '--prefix', `${name}-`],
    ...['--url', engine.address],
  ]);
  expect(await ended, text()).toBe(0);
  return join(parent, name);
}

test('a load sends one Buy for each of its buyers, tells what they were answered, and audits the drop', async () => {
  const drop = await merchant.openDrop({ sku, units: 40 });
  const { ended, text, left } = run('load', [
    ...['--drop', drop, '--url', engine.address, '--duration', '20'],
    ...['--connections', '8', '--workers', '2', '--buyers', '64'],
  ]);
  expect(await ended, text()).toBe(0);
  expect(text()).toMatch(
    /closed loop: each connection sends its next Buy when its last is answered/,
  );
  expect(text()).toMatch(/│ Latency │[\s\S]*│ Req\/Sec/);
  expect(text()).toMatch(/^accepted +40 +62\.5 %$/m);
  expect(text()).toMatch(/all buyers have pressed/);
  expect(text()).toMatch(
    /ok {3}every acknowledged order is in the ledger.*acknowledged 40, listed 40/,
  );
  expect(text()).toContain('every promise holds');
  const orders = await ordersOf(drop);
  expect(new Set(orders.map(({ buyer }) => buyer)).size).toBe(40);
  expect(orders.every(({ state }) => state === 'paid')).toBe(true);
  expect(left()).toEqual([]);
});

test('a load that cannot run says why and what to do in a line, and buys nothing', async () => {
  const told =
    (...args: string[]) =>
    () =>
      readLoadOptions(args);
  const drop = ['--drop', 'drop_000000000000'];
  expect(told()).toThrow(/--drop DROP is missing/);
  expect(told('--drop', 'mine')).toThrow(/"mine" is no id of a drop/);
  expect(told(...drop, '--connections', 'many')).toThrow(/--connections must be a whole number/);
  expect(told(...drop, '--connections', '3', '--workers', '2')).toThrow(/--workers must divide/);
  expect(told(...drop, '--conections', '3')).toThrow(/Unknown option '--conections'/);
  const later = await merchant.openDrop({ sku, units: 5, startsAt: Date.now() + 3_600_000 });
  const open = await merchant.openDrop({ sku, units: 5 });
  writeFileSync(join(parent, 'none.ndjson'), '');
  writeFileSync(join(parent, 'bad.ndjson'), '{"buyer":"a","token":"a.b.c"}\nBearer x\n');
  writeFileSync(join(parent, 'foreign.ndjson'), '{"buyer":"a","token":"a.b.c"}\n');
  const url = ['--url', engine.address];
  const one = ['--connections', '1', '--workers', '1'];
  const refusals: [RegExp, string[]][] = [
    [
      /no engine answers at http:\/\/127\.0\.0\.1:1: .*npm start/,
      ['--drop', open, '--url', 'http://127.0.0.1:1'],
    ],
    [/has no drop drop_000000000000/, ['--drop', 'drop_000000000000', ...url]],
    [/is not open, it is scheduled: it opens at 20/, ['--drop', later, ...url]],
    [/has no item "shoe": it has phone/, ['--drop', open, '--sku', 'shoe', ...url]],
    [
      /none\.ndjson has no tokens: npm run tokens/,
      ['--drop', open, '--tokens', 'none.ndjson', ...url],
    ],
    [/bad\.ndjson, line 2: not \{"buyer"/, ['--drop', open, '--tokens', 'bad.ndjson', ...url]],
    [/refuses the buyers' tokens/, ['--drop', open, '--tokens', 'foreign.ndjson', ...url, ...one]],
    [
      /audit needs an API key of the drop's merchant/,
      ['--drop', open, '--merchant-key', 'fdk_no', '--buyers', '1', ...one, ...url],
    ],
  ];
  await Promise.all(
    refusals.map(async ([reason, args]) => {
      const { ended, text, left } = run('load', args);
      expect(await ended, text()).toBe(2);
      expect(text()).toMatch(reason);
      expect(text()).not.toMatch(/\n +at /);
      expect(left()).toEqual([]);
    }),
  );
  expect(await ordersOf(open)).toEqual([]);
});

test('Ctrl-C ends a load, and what was sold until then is told and audited', async () => {
  const drop = await merchant.openDrop({ sku, units: 100_000 });
  const { child, ended, text, left } = run('load', [
    ...['--drop', drop, '--url', engine.address, '--duration', '600'],
    ...['--connections', '2', '--workers', '2', '--buyers', '2000'],
  ]);
  await eventually(async () => (await ordersOf(drop)).length > 0);
  child.kill('SIGINT');
  expect(await ended, text()).toBe(130);
  expect(text()).toMatch(/stopped: autocannon has no table then/);
  expect(text()).toMatch(/^accepted +\d/m);
  expect(text()).toMatch(/ok {3}every acknowledged order is in the ledger/);
  expect(left()).toEqual([]);
});

test('one command writes the tokens of many buyers, minted by a demo engine or signed with the secret', async () => {
  const minted = await tokensFile('minted', 2_500);
  const lines = readFileSync(minted, 'utf8').trim().split('\n');
  const buyers = lines.map((line) => JSON.parse(line) as { buyer: string; token: string });
  expect(new Set(buyers.map(({ buyer }) => buyer)).size).toBe(2_500);
  const wallet = async (token: string) => {
    const { statusCode, body } = await request(`${engine.address}/v1/wallet`, {
      headers: { authorization: `Bearer ${token}` },
    });
    return [statusCode, await body.text()] as const;
  };
  expect((await wallet(buyers.at(-1)?.token ?? ''))[0]).toBe(200);

  const { jwtSecret } = JSON.parse(readFileSync(join(parent, 'data', 'secrets.json'), 'utf8'));
  const signed = run('tokens', ['--file', 'signed', '--count', '3', '--sign'], {
    FLASHDROP_JWT_SECRET: jwtSecret,
    FLASHDROP_JWT_ISSUER: 'flashdrop-demo',
  });
  expect(await signed.ended, signed.text()).toBe(0);
  const [first = ''] = readFileSync(join(parent, 'signed'), 'utf8').split('\n');
  expect((await wallet(JSON.parse(first).token))[0]).toBe(200);

  const refused = run('tokens', ['--file', 'none/x', '--sign']);
  expect(await refused.ended).toBe(2);
  expect(refused.text()).toMatch(/its folder does not exist/);
  const secretless = run('tokens', ['--file', 'x', '--sign']);
  expect(await secretless.ended).toBe(2);
  expect(secretless.text()).toMatch(/set FLASHDROP_JWT_SECRET/);
});

/** Stands in for k6: its modules as the file imports them, with requests kept instead of sent. */
async function loadK6(env: Record<string, string>) {
  const sent: { url: string; body: string; headers: Record<string, string> }[] = [];
  const counted: Record<string, number> = {};
  const k6 = {
    exec: { scenario: { iterationInTest: 0 } },
    http: {
      expectedStatuses: (...statuses: number[]) => statuses,
      setResponseCallback: () => {},
      post(url: string, body: string, { headers }: { headers: Record<string, string> }) {
        sent.push({ url, body, headers });
        return { status: 202 };
      },
    },
    check: (answer: unknown, checks: Record<string, (answer: unknown) => boolean>) => {
      for (const [name, holds] of Object.entries(checks)) expect(holds(answer), name).toBe(true);
    },
    Counter: class {
      readonly name: string;
      constructor(name: string) {
        this.name = name;
      }
      add(by: number) {
        counted[this.name] = (counted[this.name] ?? 0) + by;
      }
    },
    SharedArray: function shared(_name: string, read: () => unknown[]) {
      return read();
    },
  };
  const globals = { k6, __ENV: env, open: (file: string) => readFileSync(file, 'utf8') };
  Object.assign(globalThis, globals);
  const source = readFileSync(at('examples/buy.k6.js'), 'utf8')
    .replace(/^import (\w+) from 'k6\/\w+';$/gm, 'const $1 = globalThis.k6.$1;')
    .replace(/^import \{ (\w+) \} from 'k6[/\w]*';$/gm, 'const { $1 } = globalThis.k6;');
  try {
    const script = await import(
      `data:text/javascript,${encodeURIComponent(`${source}// ${JSON.stringify(env)}`)}`
    );
    return { script, sent, counted, exec: k6.exec };
  } finally {
    for (const name of Object.keys(globals)) Reflect.deleteProperty(globalThis, name);
  }
}

test('the k6 file sends Buys of distinct buyers that the engine accepts', async () => {
  const drop = await merchant.openDrop({ sku, units: 10 });
  const TOKENS = await tokensFile('k6', 5);
  const env = { URL: engine.address, DROP: drop, SKU: sku, TOKENS, RATE: '5', SECONDS: '1' };
  const { script, sent, counted, exec } = await loadK6(env);
  expect(script.options.scenarios.opening).toMatchObject({ rate: 5, duration: '1s' });
  for (let n = 0; n < 5; n += 1) {
    exec.scenario.iterationInTest = n;
    script.default();
  }
  expect(counted).toEqual({ buys_accepted: 5 });
  const statuses = await Promise.all(
    sent.map(async ({ url, body, headers }) => {
      const answer = await request(url, { method: 'POST', headers, body });
      await answer.body.dump();
      return answer.statusCode;
    }),
  );
  expect(statuses).toEqual([202, 202, 202, 202, 202]);
  await expect(loadK6({ ...env, RATE: '6' })).rejects.toThrow(/more Buys than the 5 tokens/);
});

test('the wrk file sends Buys of distinct buyers that the engine accepts', {
  skip: spawnSync('wrk', ['-v']).error !== undefined,
}, async () => {
  const drop = await merchant.openDrop({ sku, units: 100_000 });
  const file = await tokensFile('wrk', 2_000);
  // Each process of the engine must know of the drop first.
  await eventually(async () => {
    const cards = await Promise.all(
      Array.from({ length: 16 }, async () => {
        const card = await request(`${engine.address}/v1/drops/${drop}`, { reset: true });
        return ((await card.body.json()) as { state?: string }).state;
      }),
    );
    return cards.every((state) => state === 'open');
  });
  const wrk = spawn(
    'wrk',
    ['-t2', '-c4', '-d1s', '-s', at('examples/buy.wrk.lua'), engine.address],
    { env: { ...process.env, DROP: drop, SKU: sku, TOKENS: file } },
  );
  let text = '';
  wrk.stdout.setEncoding('utf8').on('data', (part: string) => {
    text += part;
  });
  await once(wrk, 'close');
  const accepted = Number(/^accepted ([1-9]\d*), refused with a reason 0, /m.exec(text)?.[1]);
  expect(accepted, text).toBeGreaterThan(0);
  // An answer that is on its way when wrk ends is not counted by it.
  const orders = await eventually(async () => {
    const found = await ordersOf(drop);
    if (found.length < accepted) throw new Error(`${found.length} orders, and ${text}`);
    return found;
  });
  expect(new Set(orders.map(({ buyer }) => buyer)).size).toBe(orders.length);
});
