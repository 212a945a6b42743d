import { createPublicKey, generateKeyPairSync, verify } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { noFaults } from '../../simulators/faults.ts';
import type { BillLine, Charge, Outcome } from '../../src/payments/provider.ts';
import { type SimulatedProvider, startSimulator } from '../support/simulators.ts';
import { aCharge, aRefund, between, openFrom, serve, type WechatPay } from './wechat-pay-stage.ts';

let simulator: SimulatedProvider;
let wechatPay: WechatPay;

beforeAll(async () => {
  simulator = await startSimulator('wechat_pay');
  wechatPay = openFrom(simulator);
});
afterAll(() => simulator.stop());
beforeEach(async () => {
  await simulator.faults(noFaults);
});

async function one(outcomes: Promise<Outcome[]>): Promise<Outcome> {
  const [outcome, ...others] = await outcomes;
  if (!outcome || others.length > 0) throw new Error('one outcome was expected');
  return outcome;
}
const started = (charge: Charge) => one(wechatPay.start([charge]));
const found = (charge: Charge) => one(wechatPay.lookUp([charge]));
const closed = (charge: Charge) => one(wechatPay.close([charge]));

async function paid(change: Partial<Charge> = {}): Promise<Charge> {
  const charge = aCharge(change);
  await started(charge);
  expect(await simulator.pay(charge.reference)).toBe('captured');
  return charge;
}

describe('Starting', () => {
  test('A start at WeChat Pay returns the text of a QR code and creates one order with our data, however often repeated', async () => {
    const charge = aCharge({ expiresAt: Date.now() + 777_500 });
    const first = await started(charge);
    expect(first).toMatchObject({ kind: 'pending', action: { kind: 'qr' } });
    expect(await Promise.all([started(charge), started(charge)])).toEqual([first, first]);
    const booked = await simulator.charge(charge.reference);
    expect(booked).toMatchObject({ amount: 1234, currency: 'CNY', state: 'open' });
    // To the second, as the API takes it.
    expect(booked?.expiresAt).toBe(Math.floor(charge.expiresAt / 1000) * 1000);
    expect(booked?.extra['title']).toBe('小米手机 2 📱');
  });

  test('A start inside WeChat returns the parameters for the page, signed by the merchant', async () => {
    const outcome = await started(aCharge({ wish: { scene: 'jsapi', openid: 'oUpF8uMuAJO' } }));
    if (outcome.kind !== 'pending' || outcome.action?.kind !== 'sdk') throw new Error(outcome.kind);
    const { parameters } = outcome.action;
    const { appId, timeStamp, nonceStr, paySign } = parameters;
    expect(parameters).toMatchObject({ appId: 'wxd678efh567hg6787', signType: 'RSA' });
    expect(parameters['package']).toMatch(/^prepay_id=wx[0-9a-f]{34}$/);
    const text = `${appId}\n${timeStamp}\n${nonceStr}\n${parameters['package']}\n`;
    const key = createPublicKey(simulator.settings['FLASHDROP_WECHAT_PAY_PRIVATE_KEY'] ?? '');
    const signature = Buffer.from(paySign ?? '', 'base64');
    expect(verify('sha256', Buffer.from(text), key, signature)).toBe(true);
  });

  test('A WeChat Pay start for another browser returns a page that sends the buyer back', async () => {
    const wish = { scene: 'h5', ip: '203.0.113.9', returnUrl: 'https://shop.example/done?a=1' };
    const outcome = await started(aCharge({ wish }));
    if (outcome.kind !== 'pending' || outcome.action?.kind !== 'redirect') throw new Error();
    const url = new URL(outcome.action.url);
    expect(url.searchParams.get('redirect_url')).toBe('https://shop.example/done?a=1');
    const page = await fetch(url);
    expect(page.status).toBe(200);
    expect(await page.text()).toContain('12.34 CNY');
  });

  test('A wish that WeChat Pay cannot fulfil is refused before anything is begun', () => {
    const refused = (wish: Charge['wish']) => wechatPay.refuseWish?.(wish)?.field;
    expect(refused({})).toBe(undefined);
    expect(refused({ scene: 'app' })).toBe('scene');
    expect(refused({ scene: 'jsapi' })).toBe('openid');
    expect(refused({ scene: 'jsapi', openid: 'o"\n' })).toBe('openid');
    expect(refused({ scene: 'h5' })).toBe('ip');
    expect(refused({ scene: 'h5', ip: '::1', returnUrl: 'javascript:alert(1)' })).toBe('returnUrl');
    expect(refused({ scene: 'h5', ip: '203.0.113.9' })).toBe(undefined);
  });

  test('A WeChat Pay start of zero, of another currency or after its end creates no order', async () => {
    const charges = [
      aCharge({ amount: 0 }),
      aCharge({ currency: 'USD' }),
      aCharge({ expiresAt: Date.now() - 1 }),
    ];
    const outcomes = await wechatPay.start(charges);
    expect(outcomes.map((outcome) => outcome.kind)).toEqual(['declined', 'declined', 'declined']);
    for (const { reference } of charges) {
      expect(await simulator.charge(reference)).toBe(undefined);
    }
    expect(wechatPay.takes('CNY') && !wechatPay.takes('USD')).toBe(true);
  });

  test('A WeChat Pay start with a title of any length and any characters succeeds', async () => {
    const titles = ['📱'.repeat(200), `a\n\`b${'长'.repeat(200)}`, '\ud800x', ''];
    const charges = titles.map((title) => aCharge({ title }));
    const outcomes = await wechatPay.start(charges);
    expect(outcomes.map(({ kind }) => kind)).toEqual(titles.map(() => 'pending'));
    const booked = await simulator.charge(charges[0]?.reference ?? '');
    expect(booked?.extra['title']).toBe('📱'.repeat(63));
  });

  test('A start that WeChat Pay refuses is declined, unless an earlier one created an order', async () => {
    const told: string[] = [];
    const strangers = openFrom(simulator, { appId: 'wx0', warn: (text) => told.push(text) });
    const charge = aCharge();
    const outcome = await one(strangers.start([charge]));
    expect(outcome).toMatchObject({ kind: 'declined', reason: 'declined' });
    expect(told.join()).toContain('APPIDMCHIDNOTMATCH');
    // The same number with other figures is refused: what stands is told.
    await started(charge);
    expect(await started({ ...charge, amount: 5 })).toMatchObject({ kind: 'pending' });
    await simulator.pay(charge.reference);
    expect(await started(charge)).toMatchObject({ kind: 'captured', amount: 1234 });
  });

  test('A WeChat Pay start after the close stays closed', async () => {
    const charge = aCharge();
    await started(charge);
    await closed(charge);
    expect(await started(charge)).toMatchObject({ kind: 'declined', reason: 'closed' });
  });
});

describe('Look-ups', () => {
  test('A WeChat Pay look-up returns the state of a charge', async () => {
    const never = aCharge();
    const waiting = aCharge();
    const declined = aCharge();
    await wechatPay.start([waiting, declined]);
    await simulator.decline(declined.reference);
    const captured = await paid();
    const outcomes = await wechatPay.lookUp([never, waiting, declined, captured]);
    const by = new Map(outcomes.map((outcome) => [outcome.reference, outcome]));
    expect(by.get(never.reference)?.kind).toBe('none');
    expect(by.get(waiting.reference)?.kind).toBe('pending');
    expect(by.get(declined.reference)).toMatchObject({ kind: 'declined', reason: 'declined' });
    const { providerReference } = (await simulator.charge(captured.reference)) ?? {};
    expect(by.get(captured.reference)).toEqual({
      reference: captured.reference,
      providerReference,
      kind: 'captured',
      amount: 1234,
      currency: 'CNY',
    });
  });

  test('A WeChat Pay look-up of two hundred at once answers each of them', async () => {
    const charges = Array.from({ length: 200 }, () => aCharge());
    const outcomes = await wechatPay.lookUp(charges);
    expect(new Set(outcomes.map(({ reference }) => reference)).size).toBe(200);
    expect(new Set(outcomes.map(({ kind }) => kind))).toEqual(new Set(['none']));
  });
});

describe('Closing', () => {
  test('Closing ends an open WeChat Pay order, and a repeat gives the same answer', async () => {
    const charge = aCharge();
    await started(charge);
    expect(await closed(charge)).toMatchObject({ kind: 'declined', reason: 'closed' });
    expect(await closed(charge)).toMatchObject({ kind: 'declined', reason: 'closed' });
    expect(await simulator.pay(charge.reference)).toBe('refused');
    expect(await found(charge)).toMatchObject({ kind: 'declined', reason: 'closed' });
  });

  test('Closing a captured WeChat Pay order answers captured', async () => {
    const charge = await paid();
    expect(await closed(charge)).toMatchObject({ kind: 'captured', amount: 1234 });
  });

  test('Closing a WeChat Pay order that was never begun answers closed', async () => {
    expect(await closed(aCharge())).toMatchObject({ kind: 'declined', reason: 'closed' });
  });

  test('A WeChat Pay order that WeChat Pay refuses to close and says is still open is pending, not unknown', async () => {
    const charge = aCharge();
    await started(charge);
    const url = await serve(async ({ url: path = '' }) => {
      // The refusal of a request that names another merchant.
      return await signedAnswer(path.replace(/\/close$/, '?mchid=another'));
    });
    const outcome = await one(openFrom(simulator, { url }).close([charge]));
    expect(outcome).toEqual({ reference: charge.reference, kind: 'pending' });
  });
});

describe('Refunds', () => {
  test('A full refund at WeChat Pay is made once, however often it is requested', async () => {
    const charge = await paid();
    const wanted = aRefund(charge, 1, 1234);
    const [first] = await wechatPay.refund([wanted]);
    expect(first).toMatchObject({ kind: 'pending', refundReference: wanted.refundReference });
    for (const again of await wechatPay.refund([wanted, wanted])) {
      expect(again).toMatchObject({ kind: 'refunded', amount: 1234 });
    }
    expect((await simulator.charge(charge.reference))?.refunds).toHaveLength(1);
    expect(await found(charge)).toMatchObject({ kind: 'captured', amount: 1234 });
  });

  test('Partial refunds at WeChat Pay, by the number of either side, are never more than was paid', async () => {
    const charge = await paid();
    const { providerReference } = await found(charge);
    const known = { ...charge, providerReference };
    const parts = [aRefund(known, 1, 1000), aRefund(charge, 2, 200)];
    expect((await wechatPay.refund(parts)).map(({ kind }) => kind)).toEqual(['pending', 'pending']);
    const [tooMuch] = await wechatPay.refund([aRefund(known, 3, 35)]);
    expect(tooMuch).toMatchObject({ kind: 'failed', reason: expect.stringContaining('left') });
    const refunds = (await simulator.charge(charge.reference))?.refunds ?? [];
    expect(refunds.map(({ amount }) => amount).sort()).toEqual([1000, 200]);
  });

  test('A refund at WeChat Pay under a number used for another amount returns the amount that was refunded', async () => {
    const charge = await paid();
    await wechatPay.refund([aRefund(charge, 1, 100)]);
    const [other] = await wechatPay.refund([aRefund(charge, 1, 900)]);
    expect(other).toMatchObject({ kind: 'refunded', amount: 100 });
  });

  test('A refund at WeChat Pay of an unpaid order fails', async () => {
    const charge = aCharge();
    const [never] = await wechatPay.refund([aRefund(charge, 1, 100)]);
    expect(never?.kind).toBe('failed');
    await started(charge);
    const [unpaid] = await wechatPay.refund([aRefund(charge, 1, 100)]);
    expect(unpaid?.kind).toBe('failed');
  });

  test('A refund at WeChat Pay takes a reason of any length', async () => {
    const charge = await paid();
    const [outcome] = await wechatPay.refund([
      { ...aRefund(charge, 1, 100), reason: '太长了'.repeat(60) },
    ]);
    expect(outcome?.kind).toBe('pending');
  });
});

describe('When WeChat Pay does not answer as it should', () => {
  test.for(['fail', 'refuse', 'hang'] as const)(
    'On the fault %s WeChat Pay’s outcomes are unknown, and nothing happens twice',
    async (trouble) => {
      const impatient = openFrom(simulator, { timeoutMs: 300 });
      const charge = aCharge();
      const other = await paid();
      // Its certificates are known by now.
      await impatient.lookUp([charge]);
      await simulator.faults({ [trouble]: 1 });
      expect(await impatient.start([charge])).toEqual([
        { reference: charge.reference, kind: 'unknown' },
      ]);
      expect((await one(impatient.lookUp([charge]))).kind).toBe('unknown');
      expect((await one(impatient.close([other]))).kind).toBe('unknown');
      const [refund] = await impatient.refund([aRefund(other, 1, 1234)]);
      expect(refund?.kind).toBe('unknown');
      await simulator.faults(noFaults);
      expect((await started(charge)).kind).toBe('pending');
      await wechatPay.refund([aRefund(other, 1, 1234)]);
      expect((await simulator.charge(other.reference))?.refunds).toHaveLength(1);
    },
  );

  test('A WeChat Pay request that the merchant did not sign is refused, and the refusal proves nothing', async () => {
    const { privateKey } = generateKeyPairSync('rsa', {
      modulusLength: 2048,
      publicKeyEncoding: { type: 'spki', format: 'pem' },
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    });
    const charge = aCharge();
    for (const stranger of [{ privateKey }, { merchantId: '1' }, { serial: 'A'.repeat(40) }]) {
      const told: string[] = [];
      const provider = openFrom(simulator, { ...stranger, warn: (text) => told.push(text) });
      expect((await one(provider.start([charge]))).kind).toBe('unknown');
      expect(told.join()).toContain('401');
    }
    const path = `${simulator.url}/v3/pay/transactions/native`;
    expect((await fetch(path, { method: 'POST', body: '{}' })).status).toBe(401);
    expect(await simulator.charge(charge.reference)).toBe(undefined);
  });

  test('An unreachable WeChat Pay leaves outcomes unknown and is not an error', async () => {
    const nowhere = openFrom(simulator, { url: 'http://127.0.0.1:1' });
    expect((await one(nowhere.start([aCharge()]))).kind).toBe('unknown');
  });

  const untrusted: Record<string, Parameters<typeof between>[1]> = {
    'without a signature': (answered) => ({ ...answered, headers: {} }),
    'changed under its signature': ({ body, ...rest }) => ({
      ...rest,
      body: Buffer.from(body.toString().replace('NOTPAY', 'SUCCESS')),
    }),
    'with the signature of a probe': ({ headers, ...rest }) => ({
      ...rest,
      headers: {
        ...headers,
        'wechatpay-signature': `WECHATPAY/SIGNTEST/${headers['wechatpay-signature']}`,
      },
    }),
    'by a serial that nobody knows': ({ headers, ...rest }) => ({
      ...rest,
      headers: { ...headers, 'wechatpay-serial': 'A'.repeat(40) },
    }),
  };
  test.for(Object.keys(untrusted))('A WeChat Pay answer %s is not accepted', async (name) => {
    const charge = aCharge();
    await started(charge);
    const change = untrusted[name] as Parameters<typeof between>[1];
    const url = await between(simulator, (answered, path) =>
      path === '/v3/certificates' ? answered : change(answered, path),
    );
    const outcome = await one(openFrom(simulator, { url }).lookUp([charge]));
    expect(outcome).toEqual({ reference: charge.reference, kind: 'unknown' });
  });

  test('A signed WeChat Pay answer about another order or another merchant is not accepted', async () => {
    const [mine, others] = [aCharge(), await paid()];
    await started(mine);
    const url = await serve(async (request) => {
      // What WeChat Pay truly says of the other order, told when ours is asked for.
      const path = (request.url ?? '').replace(mine.reference, others.reference);
      return await signedAnswer(path);
    });
    const outcome = await one(openFrom(simulator, { url }).lookUp([mine]));
    expect(outcome).toEqual({ reference: mine.reference, kind: 'unknown' });
  });
});

/** What the simulator answers to the merchant, with its own signature. */
async function signedAnswer(path: string) {
  const response = await signedBy(path);
  const headers = [...response.headers].filter(([header]) => header.startsWith('wechatpay-'));
  const body = Buffer.from(await response.arrayBuffer());
  return { status: response.status, headers: Object.fromEntries(headers), body };
}

/** Asks the simulator with the merchant's own signature. */
async function signedBy(path: string): Promise<Response> {
  const { authorization } = await import('../../src/payments/wechat-pay/signing.ts');
  const { createPrivateKey } = await import('node:crypto');
  const { settings, url } = simulator;
  const signer = {
    merchantId: settings['FLASHDROP_WECHAT_PAY_MERCHANT_ID'] ?? '',
    serial: settings['FLASHDROP_WECHAT_PAY_SERIAL'] ?? '',
    privateKey: createPrivateKey(settings['FLASHDROP_WECHAT_PAY_PRIVATE_KEY'] ?? ''),
  };
  const request = { method: 'GET', path, body: '', at: Date.now() };
  const signed = await authorization(signer, request);
  return await fetch(url + path, { headers: { authorization: signed } });
}

describe('The bill', () => {
  test('The WeChat Pay bill lists captures and refunds between two instants, to the fen', async () => {
    const from = Math.floor(Date.now() / 1000) * 1000;
    const charge = await paid({ amount: 1_000_001, title: '`a,`b, "c"' });
    const single = await paid({ amount: 5 });
    await wechatPay.refund([aRefund(charge, 1, 70)]);
    const lines: BillLine[] = [];
    const window = { from, until: Date.now() + 1_000 };
    for await (const line of wechatPay.bill?.(window) ?? []) lines.push(line);
    const booked = await simulator.charge(charge.reference);
    const own = lines.filter(({ reference }) => reference.startsWith(charge.reference));
    expect(own).toEqual([
      {
        kind: 'capture',
        reference: charge.reference,
        amount: 1_000_001,
        currency: 'CNY',
        providerReference: booked?.providerReference,
        at: expect.any(Number),
      },
      {
        kind: 'refund',
        reference: `${charge.reference}r1`,
        amount: 70,
        currency: 'CNY',
        providerReference: booked?.refunds[0]?.providerReference,
        at: expect.any(Number),
      },
    ]);
    expect(lines).toContainEqual(
      expect.objectContaining({ reference: single.reference, amount: 5 }),
    );
  });

  test('The WeChat Pay bill is empty for a day without payments, and altered bytes are an error', async () => {
    const lastYear = Date.now() - 365 * 24 * 3_600_000;
    const empty = { from: lastYear, until: lastYear + 1 };
    for await (const line of wechatPay.bill?.(empty) ?? []) throw new Error(line.reference);
    await paid();
    const url = await between(simulator, ({ body, ...rest }, path) => ({
      ...rest,
      body: path.startsWith('/v3/billdownload')
        ? Buffer.from(body.toString().replaceAll('`12.34', '`12.35'))
        : body,
    }));
    const today = { from: Date.now() - 60_000, until: Date.now() + 60_000 };
    const read = async () => {
      for await (const line of openFrom(simulator, { url }).bill?.(today) ?? []) void line;
    };
    await expect(read()).rejects.toThrow('digest differs');
  });
});
