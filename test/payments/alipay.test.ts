import { createSign, generateKeyPairSync } from 'node:crypto';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import type { Forgery } from '../../simulators/protocol.ts';
import { readAlipay } from '../../src/config/alipay.ts';
import { settingsReader } from '../../src/config/settings.ts';
import { newMerchantId } from '../../src/domain/ids.ts';
import { type AlipayOptions, openAlipay } from '../../src/payments/alipay/alipay.ts';
import type { Charge, Notification, Outcome, Refund } from '../../src/payments/provider.ts';
import { eventually } from '../support/eventually.ts';
import { anOrderId, newReference } from '../support/ids.ts';
import { type SimulatedProvider, startSimulator } from '../support/simulators.ts';

let simulator: SimulatedProvider;
/** Where the simulator sends its messages, and what the provider made of each. */
let inbox: { url: string; read: Notification[]; close(): void };

beforeAll(async () => {
  simulator = await startSimulator('alipay');
  inbox = await openInbox();
});
beforeEach(async () => {
  await simulator.faults({ lose: 0, fail: 0, refuse: 0, hang: 0, captureAfterClose: 0 });
});
afterAll(async () => {
  inbox?.close();
  await simulator?.stop();
});

function alipay(change: Partial<AlipayOptions> = {}) {
  const settings = readAlipay(settingsReader(simulator.settings));
  if (!settings) throw new Error('the simulator told no settings');
  return openAlipay({ ...settings, notifyUrl: inbox.url, ...change });
}

function chargeOf(change: Partial<Charge> = {}): Charge {
  const startedAt = Date.now();
  return {
    reference: newReference(),
    startedAt,
    orderId: anOrderId(),
    buyer: 'b',
    merchantId: newMerchantId(),
    amount: 199_901,
    currency: 'CNY',
    title: '小米手机 2',
    expiresAt: startedAt + 600_000,
    wish: {},
    ...change,
  };
}

/** Begins a charge and does what the buyer's client would do with the answer. */
async function opened(change: Partial<Charge> = {}): Promise<Charge> {
  const charge = chargeOf(change);
  const [outcome] = await alipay().start([charge]);
  expect((await open(outcome)).status).toBe(200);
  return charge;
}

async function open(outcome: Outcome | undefined): Promise<Response> {
  const action = outcome?.kind === 'pending' ? outcome.action : undefined;
  if (action?.kind === 'redirect') return await fetch(action.url);
  if (action?.kind !== 'sdk') throw new Error(`nothing to open: ${JSON.stringify(outcome)}`);
  return await fetch(`${simulator.url}/gateway.do?${action.parameters['orderString']}`);
}

async function paid(change: Partial<Charge> = {}): Promise<Charge> {
  const charge = await opened(change);
  expect(await simulator.pay(charge.reference)).toBe('captured');
  return charge;
}

async function lookUp(charge: Charge): Promise<Outcome | undefined> {
  return (await alipay().lookUp([charge]))[0];
}

function refundOf(charge: Charge, number: number, amount = charge.amount): Refund {
  const { currency, amount: captured } = charge;
  const refundReference = `${charge.reference}r${number}`;
  const reason = '不要了 & more';
  const askedAt = Date.now();
  return { refundReference, payment: charge, amount, captured, currency, reason, askedAt };
}

async function serve(listener: RequestListener) {
  const server = createServer(listener);
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

async function openInbox() {
  const read: Notification[] = [];
  const server = await serve(async (request, response) => {
    const body = Buffer.concat(await request.toArray());
    const provider = alipay();
    const told = await provider.readNotification?.({ headers: {}, body });
    if (!told) throw new Error('it reads no messages');
    read.push(told);
    const answer = provider.answerNotification?.(told.kind === 'refused' ? 'refused' : 'taken');
    response.writeHead(answer?.status ?? 0, { 'content-type': answer?.contentType ?? '' });
    response.end(answer?.body);
  });
  return { ...server, read };
}

describe('Alipay payments', () => {
  for (const scene of ['page', 'wap', 'app']) {
    it(`An Alipay payment for ${scene} is created when the buyer opens it, and captured to the fen`, async () => {
      const charge = chargeOf({ wish: { scene } });
      const { reference } = charge;
      const [begun] = await alipay().start([charge]);
      expect(begun).toMatchObject({ reference, kind: 'pending' });
      expect(await lookUp(charge)).toEqual({ reference, kind: 'none' });
      await open(begun);
      expect(await lookUp(charge)).toMatchObject({ reference, kind: 'pending' });
      await simulator.pay(reference);
      const booked = await simulator.charge(reference);
      expect(booked).toMatchObject({ amount: 199_901, captures: 1, notifyUrl: inbox.url });
      expect(await lookUp(charge)).toEqual({
        reference,
        kind: 'captured',
        amount: 199_901,
        providerReference: booked?.providerReference,
      });
    });
  }

  it('Alipay takes payments in CNY, and in no other currency', () => {
    expect([alipay().takes('CNY'), alipay().takes('USD')]).toEqual([true, false]);
  });

  it('An Alipay payment cannot be made when a letter of its address is changed', async () => {
    const charge = chargeOf();
    const [begun] = await alipay().start([charge]);
    if (begun?.kind !== 'pending' || begun.action?.kind !== 'redirect') throw new Error('no page');
    const response = await fetch(begun.action.url.replace('1999.01', '1999.00'));
    expect(await response.text()).toContain('isv.invalid-signature');
    expect(await simulator.charge(charge.reference)).toBeUndefined();
  });

  it('The page of an Alipay payment shows the title as text, whatever its characters', async () => {
    const [begun] = await alipay().start([chargeOf({ title: "<script>alert('1')" })]);
    const page = await (await open(begun)).text();
    expect(page).toContain('&#60;script&#62;alert(&#39;1&#39;)');
    expect(page).toContain('1999.01');
  });

  it('An Alipay payment whose time has ended is declined, and cannot be made any more', async () => {
    const charge = await opened();
    await simulator.clock(600_001);
    onTestFinished(() => simulator.clock(0));
    expect(await simulator.pay(charge.reference)).toBe('refused');
    expect(await lookUp(charge)).toMatchObject({ kind: 'declined', reason: 'closed' });
  });

  it('An Alipay payment that is more than a year old is still captured', async () => {
    const charge = await paid();
    await simulator.clock(366 * 24 * 3600_000);
    onTestFinished(() => simulator.clock(0));
    expect(await lookUp(charge)).toMatchObject({ kind: 'captured', amount: charge.amount });
    expect(await alipay().refund([refundOf(charge, 1)])).toMatchObject([
      { kind: 'failed', reason: 'ACQ.TRADE_HAS_FINISHED' },
    ]);
  });

  it('A look-up of forty Alipay payments answers each of them', async () => {
    const charges = Array.from({ length: 40 }, (_, nth) => chargeOf({ amount: nth + 1 }));
    const begun = await alipay().start(charges);
    const even = begun.filter((_, nth) => nth % 2 === 0);
    await Promise.all(even.map(open));
    await Promise.all(even.map(({ reference }) => simulator.pay(reference)));
    expect(await alipay().lookUp(charges)).toMatchObject(
      charges.map(({ reference, amount }, nth) =>
        nth % 2 === 0 ? { reference, kind: 'captured', amount } : { reference, kind: 'none' },
      ),
    );
  });
});

describe('Repeated starts', () => {
  it('A repeated start at Alipay offers the open payment again', async () => {
    const provider = alipay();
    const charge = chargeOf();
    const [first] = await provider.start([charge]);
    const [unopened] = await provider.start([charge]);
    expect(unopened).toMatchObject({ kind: 'pending', action: { kind: 'redirect' } });
    await open(first);
    const [again] = await provider.start([charge]);
    expect((await open(again)).status).toBe(200);
    expect(
      (await simulator.book()).charges.filter((c) => c.reference === charge.reference),
    ).toHaveLength(1);
  });

  it('A repeated start of a captured Alipay payment answers captured, at once and later in another process', async () => {
    const here = alipay();
    const charge = chargeOf();
    await open((await here.start([charge]))[0]);
    await simulator.pay(charge.reference);
    const elsewhere = alipay({ clock: { now: () => charge.startedAt + 10_000 } });
    for (const provider of [here, elsewhere]) {
      expect(await provider.start([charge])).toMatchObject([{ kind: 'captured' }]);
    }
  });

  it('A repeated start of a closed Alipay payment answers closed, whether it was ever opened or not', async () => {
    const provider = alipay();
    const charges = [chargeOf(), chargeOf()];
    const [first] = await provider.start(charges);
    await open(first);
    await provider.close(charges);
    expect(await provider.start(charges)).toMatchObject(
      charges.map(({ reference }) => ({ reference, kind: 'declined', reason: 'closed' })),
    );
  });

  it('A start at Alipay after the end of the time to pay offers nothing', async () => {
    const startedAt = Date.now() - 900_000;
    const charge = chargeOf({ startedAt, expiresAt: startedAt + 600_000 });
    expect(await alipay().start([charge])).toMatchObject([{ kind: 'declined', reason: 'closed' }]);
  });
});

describe('Closing', () => {
  it('A closed Alipay payment cannot be made any more', async () => {
    const charge = await opened();
    const closed = { reference: charge.reference, kind: 'declined', reason: 'closed' };
    expect(await alipay().close([charge])).toEqual([closed]);
    expect(await simulator.pay(charge.reference)).toBe('refused');
    expect(await lookUp(charge)).toMatchObject(closed);
  });

  it('Closing an Alipay payment twice, or after its time, answers closed', async () => {
    const charge = await opened();
    await alipay().close([charge]);
    expect(await alipay().close([charge])).toMatchObject([{ kind: 'declined', reason: 'closed' }]);
  });

  it('Closing a captured Alipay payment answers captured', async () => {
    const charge = await paid();
    expect(await alipay().close([charge])).toMatchObject([{ kind: 'captured', amount: 199_901 }]);
  });

  it('Closing an Alipay payment that was never opened succeeds, and a later payment under it is found', async () => {
    const charge = chargeOf();
    const [begun] = await alipay().start([charge]);
    expect(await alipay().close([charge])).toEqual([
      { reference: charge.reference, kind: 'declined', reason: 'closed' },
    ]);
    await open(begun);
    await simulator.pay(charge.reference);
    expect(await lookUp(charge)).toMatchObject({ kind: 'captured', amount: 199_901 });
  });

  it('A capture at Alipay after the close is found', async () => {
    const charge = await opened();
    await alipay().close([charge]);
    await simulator.faults({ captureAfterClose: 1 });
    expect(await simulator.pay(charge.reference)).toBe('captured');
    expect(await lookUp(charge)).toMatchObject({ kind: 'captured' });
  });
});

describe('Refunds', () => {
  it('A full refund at Alipay is made once, however often it is requested', async () => {
    const charge = await paid();
    const refund = refundOf(charge, 1);
    const done = { refundReference: refund.refundReference, kind: 'refunded', amount: 199_901 };
    expect(await alipay().refund([refund])).toEqual([done]);
    const repeats = await Promise.all(Array.from({ length: 5 }, () => alipay().refund([refund])));
    expect(repeats.flat()).toEqual(Array(5).fill(done));
    expect((await simulator.charge(charge.reference))?.refunds).toHaveLength(1);
  });

  it('A fully refunded Alipay payment differs from one that was never made', async () => {
    const charge = await paid();
    await alipay().refund([refundOf(charge, 1)]);
    expect(await lookUp(charge)).toMatchObject({
      kind: 'captured',
      amount: 199_901,
      refunded: 199_901,
    });
  });

  it('Partial refunds at Alipay add up to the whole, and not a fen more', async () => {
    const charge = await paid({ amount: 1000 });
    const outcomes = await alipay().refund([
      refundOf(charge, 1, 333),
      refundOf(charge, 2, 668),
      refundOf(charge, 3, 667),
      refundOf(charge, 4, 1),
    ]);
    expect(outcomes).toMatchObject([
      { kind: 'refunded', amount: 333 },
      { kind: 'failed', reason: 'ACQ.REASON_TRADE_REFUND_FEE_ERR' },
      { kind: 'refunded', amount: 667 },
      { kind: 'failed', reason: 'ACQ.TRADE_HAS_CLOSE' },
    ]);
    expect((await simulator.charge(charge.reference))?.refunds.map(({ amount }) => amount)).toEqual(
      [333, 667],
    );
  });

  it('A refund at Alipay of another amount under the same reference fails and moves no money', async () => {
    const charge = await paid();
    await alipay().refund([refundOf(charge, 1, 100)]);
    expect(await alipay().refund([refundOf(charge, 1, 200)])).toMatchObject([{ kind: 'failed' }]);
    expect((await simulator.charge(charge.reference))?.refunds).toHaveLength(1);
  });

  it('A refund at Alipay of an uncaptured payment fails', async () => {
    const [open, never] = [await opened(), chargeOf()];
    expect(await alipay().refund([refundOf(open, 1), refundOf(never, 1)])).toMatchObject([
      { kind: 'failed', reason: 'ACQ.TRADE_STATUS_ERROR' },
      { kind: 'failed', reason: 'ACQ.TRADE_NOT_EXIST' },
    ]);
  });
});

describe('Without a reliable answer', () => {
  /** What each call says of a payment that was paid. */
  async function answers(charge: Charge, change: Partial<AlipayOptions> = {}): Promise<string[]> {
    const provider = alipay({ timeoutMs: 300, ...change });
    const again = { ...charge, startedAt: charge.startedAt - 60_000 };
    const outcomes = [
      await provider.lookUp([charge]),
      await provider.close([charge]),
      await provider.start([again]),
      await provider.refund([refundOf(charge, 1, 1)]),
    ];
    return outcomes.flat().map(({ kind }) => kind);
  }
  const unknown = Array(4).fill('unknown');

  for (const faults of ['refuse', 'fail', 'hang'] as const) {
    it(`Every Alipay outcome is unknown under the fault ${faults}, and known afterwards`, async () => {
      const charge = await paid();
      await simulator.faults({ [faults]: 1 });
      expect(await answers(charge)).toEqual(unknown);
      await simulator.faults({ [faults]: 0 });
      expect(await answers(charge)).toEqual(['captured', 'captured', 'captured', 'refunded']);
      expect((await simulator.charge(charge.reference))?.refunds).toHaveLength(1);
    });
  }

  it('Alipay answers with the signature of an unknown key leave every outcome unknown', async () => {
    const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const alipayPublicKey = publicKey.export({ type: 'spki', format: 'pem' }).toString();
    expect(await answers(await paid(), { alipayPublicKey })).toEqual(unknown);
  });

  const gateways: Record<string, RequestListener> = {
    'a page instead of an answer': (_, response) => response.end('<h1>Welcome</h1>'),
    'an empty answer': (_, response) => response.end(),
    'JSON that is nothing': (_, response) => response.end('null'),
    'a redirect to nowhere': (_, response) =>
      response.writeHead(302, { location: 'http://127.0.0.1:9/' }).end(),
    'a letter now and then': (_, response) => {
      const timer = setInterval(() => response.write(' '), 100);
      response.once('close', () => clearInterval(timer));
    },
  };
  for (const [what, listener] of Object.entries(gateways)) {
    it(`Every Alipay outcome is unknown in time when the gateway answers ${what}`, async () => {
      const gateway = await serve(listener);
      onTestFinished(gateway.close);
      expect(await answers(chargeOf(), { url: `${gateway.url}/gateway.do` })).toEqual(unknown);
    });
  }

  it('Every outcome is unknown when nothing listens at Alipay’s address', async () => {
    const url = 'http://127.0.0.1:9/gateway.do';
    expect(await answers(chargeOf(), { url })).toEqual(unknown);
  });

  it('A signed Alipay answer about another payment leaves the outcome unknown', async () => {
    const other = await paid();
    const replayed = await recordedAnswer(other);
    const gateway = await serve((_, response) => response.end(replayed));
    onTestFinished(gateway.close);
    const provider = alipay({ url: `${gateway.url}/gateway.do` });
    expect(await provider.lookUp([chargeOf()])).toMatchObject([{ kind: 'unknown' }]);
    expect(await provider.lookUp([other])).toMatchObject([{ kind: 'captured' }]);
  });

  /** Alipay's answer to a look-up, as it came off the wire. */
  async function recordedAnswer(charge: Charge): Promise<string> {
    let recorded = '';
    const recorder = await serve(async (request, response) => {
      const answer = await fetch(`${simulator.url}${request.url}`, {
        method: 'POST',
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        body: Buffer.concat(await request.toArray()).toString(),
      });
      recorded = await answer.text();
      response.end(recorded);
    });
    await alipay({ url: `${recorder.url}/gateway.do` }).lookUp([charge]);
    recorder.close();
    return recorded;
  }

  it('An Alipay error caused by the settings names these settings and shows no key', async () => {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    for (const change of [{ privateKey: pem }, { appId: '2021000100000009' }]) {
      const asked = alipay(change).lookUp([chargeOf(), chargeOf()]);
      await expect(asked).rejects.toThrow(/isv\.invalid-.*FLASHDROP_ALIPAY_PRIVATE_KEY/);
      await expect(asked).rejects.not.toThrow(/BEGIN|sign=/);
    }
  });
});

describe('An answer that Alipay signed', () => {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const alipayPublicKey = publicKey.export({ type: 'spki', format: 'pem' }).toString();

  /** A gateway that gives each method the same answer, whatever is asked. */
  async function answering(nodes: Record<string, object>) {
    const gateway = await serve((request, response) => {
      const method = new URL(request.url ?? '', simulator.url).searchParams.get('method') ?? '';
      const node = JSON.stringify(nodes[method] ?? { code: '10000', msg: 'Success' });
      const sign = createSign('RSA-SHA256').update(node).sign(privateKey, 'base64');
      response.end(`{"${method.replaceAll('.', '_')}_response":${node},"sign":"${sign}"}`);
    });
    onTestFinished(gateway.close);
    return alipay({ alipayPublicKey, url: `${gateway.url}/gateway.do` });
  }

  const charge = chargeOf();
  const about = { out_trade_no: charge.reference, total_amount: '1999.01' };
  const refusal = (sub_code: string) => ({ code: '40004', msg: 'Business Failed', sub_code });
  const down = {
    code: '20000',
    msg: 'Service Currently Unavailable',
    sub_code: 'isp.unknow-error',
  };

  const lookUps: [string, object, object][] = [
    ['has no status', { code: '10000', ...about }, { kind: 'unknown' }],
    ['has a new status', { code: '10000', ...about, trade_status: 'NEW' }, { kind: 'unknown' }],
    [
      'has no amount',
      { code: '10000', out_trade_no: charge.reference, trade_status: 'TRADE_SUCCESS' },
      { kind: 'unknown' },
    ],
    [
      'has an amount that is none',
      { code: '10000', ...about, total_amount: '1999.011', trade_status: 'TRADE_SUCCESS' },
      { kind: 'unknown' },
    ],
    [
      'is finished',
      { code: '10000', ...about, trade_status: 'TRADE_FINISHED' },
      { kind: 'captured', amount: 199_901 },
    ],
    ['knows no trade', refusal('ACQ.TRADE_NOT_EXIST'), { kind: 'none' }],
    [
      'knows no other trade',
      { ...refusal('ACQ.TRADE_NOT_EXIST'), out_trade_no: newReference() },
      { kind: 'unknown' },
    ],
    ['tells a system error', refusal('ACQ.SYSTEM_ERROR'), { kind: 'unknown' }],
    ['tells an error of the gateway', refusal('aop.ACQ.SYSTEM_ERROR'), { kind: 'unknown' }],
    ['tells of being down', down, { kind: 'unknown' }],
    ['tells of too many calls', { code: '40005', msg: 'Call Limited' }, { kind: 'unknown' }],
  ];
  for (const [what, node, outcome] of lookUps) {
    it(`A signed Alipay answer to a look-up that ${what} means ${Object.values(outcome).join(' ')}`, async () => {
      const provider = await answering({ 'alipay.trade.query': node });
      expect(await provider.lookUp([charge])).toMatchObject([outcome]);
    });
  }

  const refunds: [string, object, string][] = [
    [
      'moved no money, of which nothing else is known',
      { code: '10000', ...about, fund_change: 'N' },
      'unknown',
    ],
    ['says nothing of money', { code: '10000', ...about }, 'unknown'],
    [
      'is about another payment',
      { code: '10000', out_trade_no: 'fd', fund_change: 'Y' },
      'unknown',
    ],
    ['tells a system error', refusal('ACQ.SYSTEM_ERROR'), 'unknown'],
    ['tells a reason that is new', refusal('ACQ.TOO_SOON'), 'unknown'],
    ['misses money in the account', refusal('ACQ.SELLER_BALANCE_NOT_ENOUGH'), 'pending'],
    ['finds it too much', refusal('ACQ.REFUND_AMT_NOT_EQUAL_TOTAL'), 'failed'],
    ['moved the money', { code: '10000', ...about, fund_change: 'Y' }, 'refunded'],
  ];
  for (const [what, node, kind] of refunds) {
    it(`A signed Alipay answer to a refund that ${what} means ${kind}`, async () => {
      const provider = await answering({ 'alipay.trade.refund': node });
      expect(await provider.refund([refundOf(charge, 1)])).toMatchObject([{ kind }]);
    });
  }

  const queries: [string, object, number, string][] = [
    ['names it without a state', { ...about, out_request_no: `${charge.reference}r1` }, 11, 'none'],
    ['says nothing of it', {}, 11, 'none'],
    [
      'names it without a state while Alipay may still be making it',
      { ...about, out_request_no: `${charge.reference}r1` },
      9,
      'unknown',
    ],
    ['says nothing of it while Alipay may still be making it', {}, 9, 'unknown'],
    [
      'has its amount without a state',
      { ...about, out_request_no: `${charge.reference}r1`, refund_amount: '1999.01' },
      11,
      'unknown',
    ],
    ['is about another refund', { ...about, out_request_no: 'r2' }, 11, 'unknown'],
  ];
  for (const [what, node, ageSeconds, kind] of queries) {
    it(`A signed Alipay answer about a refund that ${what} means ${kind}`, async () => {
      const answer = { code: '10000', ...node };
      const provider = await answering({ 'alipay.trade.fastpay.refund.query': answer });
      const refund = { ...refundOf(charge, 1), askedAt: Date.now() - ageSeconds * 1_000 };
      expect(await provider.lookUpRefunds?.([refund])).toMatchObject([{ kind }]);
    });
  }

  it('An Alipay payment that Alipay refuses to close and says is still open is pending, not unknown', async () => {
    const provider = await answering({
      'alipay.trade.close': refusal('ACQ.TRADE_STATUS_ERROR'),
      'alipay.trade.query': { code: '10000', ...about, trade_status: 'WAIT_BUYER_PAY' },
    });
    expect(await provider.close([charge])).toMatchObject([{ kind: 'pending' }]);
  });
});

describe('Notifications', () => {
  /** What is read about a payment after something happened to it. */
  async function readAfter(reference: string, act: () => Promise<unknown>) {
    const before = inbox.read.length;
    await act();
    return await eventually(() => {
      const read = inbox.read.slice(before);
      return read.find((told) => told.kind === 'verified' && told.reference === reference);
    });
  }

  it('Every kind of Alipay notification is read, whatever characters the title has', async () => {
    const charge = await opened({ amount: 1000, title: '100% 小米 + 米兔 😀 "a" <b>' });
    const { reference } = charge;
    const tell = async (act: () => Promise<unknown>, about: string) => {
      const told = await readAfter(reference, act);
      expect(told).toMatchObject({ reference, amount: 1000, currency: 'CNY', about });
    };
    await tell(() => simulator.pay(reference), 'TRADE_SUCCESS');
    await tell(
      () => alipay().refund([refundOf(charge, 1, 1)]),
      'TRADE_SUCCESS, 0.01 yuan given back',
    );
    await tell(
      () => alipay().refund([refundOf(charge, 2, 999)]),
      'TRADE_CLOSED, 10.00 yuan given back',
    );
    const closed = await opened();
    const told = await readAfter(closed.reference, () => simulator.close(closed.reference));
    expect(told).toMatchObject({ about: 'TRADE_CLOSED' });
  });

  it('A repeated Alipay notification has the same id, and each is answered with the word alone', async () => {
    const charge = await paid();
    const before = inbox.read.length;
    const answers = await simulator.notify({ reference: charge.reference, times: 5 });
    expect(answers).toEqual(Array(5).fill({ status: 200, body: 'success' }));
    const read = inbox.read.slice(before);
    const ids = read.map((told) => (told.kind === 'verified' ? told.id : told.kind));
    expect(new Set(ids).size).toBe(1);
  });

  const refused: Partial<Record<Forgery, string>> = {
    signature: 'signature',
    reserialised: 'signature',
    stale: 'stale',
    other_merchant: 'other_merchant',
    oversized: 'malformed',
  };
  for (const [forge, reason] of Object.entries(refused)) {
    it(`A forged Alipay notification is refused: ${forge}`, async () => {
      const { reference } = await opened();
      const before = inbox.read.length;
      const answers = await simulator.notify({ reference, forge: forge as Forgery });
      expect(answers).toEqual([{ status: 400, body: 'fail' }]);
      expect(inbox.read.slice(before)).toEqual([{ kind: 'refused', reason }]);
    });
  }

  it('An Alipay notification of another amount or payment is read as it is, for the ledger to refuse', async () => {
    const { reference, amount } = await opened();
    const before = inbox.read.length;
    await simulator.notify({ reference, forge: 'other_amount' });
    await simulator.notify({ reference, forge: 'unknown_order' });
    expect(inbox.read.slice(before)).toMatchObject([
      { kind: 'verified', reference, amount: amount + 1 },
      { kind: 'verified', reference: `fd${'0'.repeat(30)}`, amount },
    ]);
  });

  it('An Alipay notification that cannot be handled now is answered so that Alipay repeats it', () => {
    expect(alipay().answerNotification?.('unavailable')).toEqual({
      status: 503,
      contentType: 'text/plain',
      body: 'fail',
    });
  });
});

describe('Wishes', () => {
  it('A wish for an unknown Alipay scene, or for a return to no web address, is refused', () => {
    const refuse = alipay().refuseWish;
    expect(refuse?.({})).toBeUndefined();
    expect(refuse?.({ scene: 'app', returnUrl: 'https://shop.example/a?b=c' })).toBeUndefined();
    expect(refuse?.({ scene: 'native' })).toMatchObject({ field: 'scene' });
    const long = `https://shop.example/${'a'.repeat(300)}`;
    for (const returnUrl of ['javascript:alert(1)', 'nowhere', '', long]) {
      expect(refuse?.({ returnUrl }), returnUrl).toMatchObject({ field: 'returnUrl' });
    }
  });
});
