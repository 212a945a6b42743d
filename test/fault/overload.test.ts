import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { intakeLimits } from '../../src/inventory/intake.ts';
import { startTestEngine, type TestEngine } from '../support/engine.ts';
import { eventually } from '../support/eventually.ts';
import { sharedRedisUrl } from '../support/redis.ts';
import { type Buyer, openSale, type Sale } from '../support/sale.ts';

let engine: TestEngine;
let address: string;
let merchantKey: string;
beforeAll(async () => {
  // Behind with the second request of a turn, so that any flood is beyond the bound.
  engine = await startTestEngine({
    redisUrl: sharedRedisUrl(),
    settings: { demo: true, turnMsMax: 0 },
  });
  address = await engine.serve();
  merchantKey = (await engine.merchant()).apiKey;
});
afterAll(() => engine?.stop());

type Told = { status: number; retryAfter: number | undefined; body: string };

/** Sends requests in one piece over one connection, so that the engine reads them in one turn. */
async function sendAtOnce(requests: string[]): Promise<Told[]> {
  const socket = connect(Number(new URL(address).port), '127.0.0.1');
  let text = '';
  socket.on('data', (bytes) => {
    text += bytes.toString('latin1');
  });
  socket.write(requests.join(''));
  const answers = await eventually(() => {
    const found = [
      ...text.matchAll(/HTTP\/1\.1 (\d+) [\s\S]*?\r\n\r\n([\s\S]*?)(?=HTTP\/1\.1|$)/g),
    ];
    return found.length === requests.length && text.endsWith('}') && found;
  });
  socket.destroy();
  return answers.map(([whole, status, body]) => {
    const retryAfter = /^retry-after: (\d+)\r$/im.exec(whole)?.[1];
    return {
      status: Number(status),
      retryAfter: retryAfter === undefined ? undefined : Number(retryAfter),
      body: body as string,
    };
  });
}

function get(path: string, token?: string): string {
  const authorization = token === undefined ? '' : `authorization: Bearer ${token}\r\n`;
  return `GET ${path} HTTP/1.1\r\nhost: x\r\n${authorization}\r\n`;
}

/** Ways to spell the address of a Buy: all are the same route. */
const spellings: ((drop: string) => string)[] = [
  (drop) => `/v1/drops/${drop}/orders`,
  (drop) => `/v1/drops/${drop}/orders?utm_source=weibo`,
  (drop) => `/v1/drops/${drop}/orders?`,
  (drop) => `/v1/drops/${drop}/orders?next=/v1/drops/x`,
  (drop) => `/v1/drops/${drop}/orders#buy`,
  (drop) => `/v1/%64rops/${drop}/orders`,
  (drop) => `/v1/drops/${drop}/%6Frder%73`,
  (drop) => `/v1/drops/${drop.replace('drop', '%64rop')}/orders`,
  (drop) => `http://shop.example/v1/drops/${drop}/orders`,
  (drop) => `HTTPS://shop.example/v1/drops/${drop}/orders?utm_source=weibo`,
];

function buy(
  { drop }: Pick<Sale, 'drop'>,
  { buyer, token }: Buyer,
  address = `/v1/drops/${drop}/orders`,
): string {
  const body = '{"sku":"phone","quantity":1,"payment":{"method":"wallet"}}';
  return (
    `POST ${address} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${token}\r\n` +
    `idempotency-key: key-of-${buyer}\r\ncontent-type: application/json\r\n` +
    `content-length: ${body.length}\r\n\r\n${body}`
  );
}

describe('Overload', () => {
  test('An overloaded engine refuses Buys at once, reserves nothing for them, and sells to their buyers later', async () => {
    const sale = await openSale({ address, merchantKey }, { units: 60 });
    const buyers = await sale.gather(60);
    const [first, ...others] = await sendAtOnce(buyers.map((one) => buy(sale, one)));
    expect(first).toMatchObject({ status: 202 });
    for (const { status, retryAfter, body } of others) {
      const told = JSON.parse(body);
      expect({ status, ...told }).toMatchObject({ status: 503, code: 'overloaded' });
      expect(retryAfter).toBe(Math.ceil(told.retryAfterMs / 1_000));
    }
    const waits = others.map(({ retryAfter }) => retryAfter ?? 0);
    expect(Math.min(...waits)).toBeGreaterThanOrEqual(1);
    expect(new Set(waits).size).toBeGreaterThan(1); // or all would come again at once
    expect(await sale.figures()).toMatchObject({ available: 59 });
    const metrics = await engine.deps.metrics.text();
    expect(metrics).toMatch(/^flashdrop_buys_total\{outcome="overloaded"\} 59$/m);
    for (const one of buyers) expect(await sale.press(one)).toMatchObject({ status: 202 });
    expect(await sale.judged()).toMatchObject({ available: 0, sold: 60, paid: 60 });
  });

  test('An overloaded engine refuses a Buy in the same way however its address is spelled', async () => {
    const sale = await openSale({ address, merchantKey }, { units: 60 });
    const buyers = await sale.gather(60);
    // The first request of a turn is never refused.
    const [, ...told] = await sendAtOnce([
      get('/livez?{}'),
      ...buyers.map((one, n) => buy(sale, one, spellings[n % spellings.length]?.(sale.drop))),
    ]);
    for (const [n, { status }] of told.entries()) {
      expect(status, spellings[n % spellings.length]?.(sale.drop)).toBe(503);
    }
    expect(await sale.figures()).toMatchObject({ available: 60 });
    // At rest each of them is a Buy.
    for (const [n, spelling] of spellings.entries()) {
      const [answer] = await sendAtOnce([buy(sale, buyers[n] as Buyer, spelling(sale.drop))]);
      expect(answer, spelling(sale.drop)).toMatchObject({ status: 202 });
    }
    for (const [n, one] of buyers.entries()) if (n >= spellings.length) await sale.press(one);
    await sale.settled();
  });

  test('An overloaded engine still answers all requests but Buys', async () => {
    const sale = await openSale({ address, merchantKey }, { units: 5 });
    const [head, ...crowd] = (await sale.gather(40)) as [Buyer, ...Buyer[]];
    const asked = [
      ...[get(`/v1/drops/${sale.drop}`), get('/livez'), get('/openapi.json')],
      ...[get(`/v1/drops/${sale.drop}/report`, merchantKey), get('/v1/wallet', head.token)],
    ];
    const told = await sendAtOnce([...crowd.map((one) => buy(sale, one)), ...asked]);
    expect(told.slice(crowd.length).map(({ status }) => status)).toEqual(asked.map(() => 200));
    expect(told.filter(({ status }) => status === 503).length).toBeGreaterThan(30);
    await sale.settled();
  });

  test('An engine under a flood keeps its queue within its bound, sells correctly, and recovers afterwards', async () => {
    const sale = await openSale({ address, merchantKey }, { units: 300 });
    const buyers = await sale.gather(500);
    let over = false;
    let waitingMost = 0;
    const crowd = sale.run(buyers, { pressing: 250 }).finally(() => {
      over = true;
    });
    await eventually(() => {
      waitingMost = Math.max(waitingMost, engine.deps.intake.waiting());
      return over;
    });
    await crowd;
    expect(sale.told()).toContain('overloaded');
    const honest = ['', 'all_held', 'overloaded', 'sold_out'];
    expect(sale.told().filter((code) => !honest.includes(code))).toEqual([]);
    expect(waitingMost).toBeLessThanOrEqual(intakeLimits.queueMax);
    expect(await sale.judged()).toMatchObject({ available: 0, sold: 300, paid: 300 });
    const next = await openSale({ address, merchantKey }, { units: 1 });
    expect(await next.press(await next.one())).toMatchObject({ status: 202 });
  });
});
