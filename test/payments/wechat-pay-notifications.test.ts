import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Forgery } from '../../simulators/protocol.ts';
import type { Charge, RawNotification } from '../../src/payments/provider.ts';
import { eventually } from '../support/eventually.ts';
import { type SimulatedProvider, startSimulator } from '../support/simulators.ts';
import { aCharge, aRefund, listenWith, openFrom, type WechatPay } from './wechat-pay-stage.ts';

let simulator: SimulatedProvider;
let wechatPay: WechatPay;
let heard: Awaited<ReturnType<typeof listenWith>>['heard'];

beforeAll(async () => {
  simulator = await startSimulator('wechat_pay');
});
afterAll(() => simulator.stop());
beforeEach(async () => {
  const listener = await listenWith(() => wechatPay);
  heard = listener.heard;
  wechatPay = openFrom(simulator, { notifyUrl: listener.url });
});

async function begun(): Promise<Charge> {
  const charge = aCharge();
  await wechatPay.start([charge]);
  return charge;
}

async function paid(): Promise<Charge> {
  const charge = await begun();
  await simulator.pay(charge.reference);
  await eventually(() => heard.length === 1);
  return charge;
}

async function read(raw: RawNotification) {
  return await wechatPay.readNotification?.(raw);
}

function lastHeard() {
  const last = heard.at(-1);
  if (!last) throw new Error('nothing was heard');
  return last;
}

describe('Genuine notifications', () => {
  test('A WeChat Pay notification about a payment is read, and its answer ends the repeats', async () => {
    const charge = await paid();
    expect(lastHeard().notification).toEqual({
      kind: 'verified',
      id: expect.any(String),
      reference: charge.reference,
      amount: 1234,
      currency: 'CNY',
      about: 'TRANSACTION.SUCCESS',
      sentAt: expect.any(Number),
    });
    const { sent, taken } = await eventually(async () => {
      const book = await simulator.book();
      return book.sent === book.taken && book;
    });
    expect(taken).toBe(sent);
  });

  test('A WeChat Pay notification about a refund has its payment', async () => {
    const charge = await paid();
    await wechatPay.refund([aRefund(charge, 1, 234)]);
    await eventually(() => heard.length === 2);
    expect(lastHeard().notification).toMatchObject({
      kind: 'verified',
      reference: charge.reference,
      about: 'REFUND.SUCCESS',
      amount: 1234,
    });
  });

  test('A WeChat Pay notification repeated fifty times at once has one id, and each is accepted', async () => {
    const { reference } = await paid();
    const answers = await simulator.notify({ reference, times: 50, parallel: true });
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([204]));
    const ids = heard.map(({ notification }) => 'id' in notification && notification.id);
    expect(ids).toHaveLength(51);
    expect(new Set(ids).size).toBe(1);
  });
});

describe('Forged notifications', () => {
  const refused: [Forgery, string][] = [
    ['signature', 'signature'],
    ['stale', 'stale'],
    ['other_merchant', 'other_merchant'],
    ['reserialised', 'signature'],
    ['oversized', 'malformed'],
  ];
  test.for(refused)(
    'A forged WeChat Pay notification (%s) is refused: %s',
    async ([forge, reason]) => {
      const { reference } = await begun();
      for (const kind of ['captured', 'refunded'] as const) {
        const [answer] = await simulator.notify({ reference, kind, forge });
        expect(answer?.status).toBe(401);
        expect(JSON.parse(answer?.body ?? '')).toMatchObject({ code: 'FAIL' });
        expect(lastHeard().notification).toEqual({ kind: 'refused', reason });
      }
    },
  );

  test('A wrong notification with WeChat Pay’s signature is read as it is, for the engine to compare', async () => {
    const { reference } = await begun();
    const told = async (forge: Forgery) => {
      await simulator.notify({ reference, kind: 'captured', forge });
      return lastHeard().notification;
    };
    expect(await told('other_amount')).toMatchObject({ reference, amount: 1235 });
    expect(await told('other_currency')).toMatchObject({ reference, currency: 'USD' });
    const stranger = await told('unknown_order');
    expect(stranger).toMatchObject({ kind: 'verified', amount: 1234 });
    expect(stranger).not.toMatchObject({ reference });
  });

  test('A WeChat Pay notification with a header missing or changed is refused without an exception', async () => {
    await paid();
    const { raw } = lastHeard();
    expect(await read(raw)).toMatchObject({ kind: 'verified' });
    const names = Object.keys(raw.headers).filter((name) =>
      /^wechatpay-(?!signature-t)/.test(name),
    );
    expect(names).toHaveLength(4);
    for (const name of names) {
      for (const value of [undefined, '', 'x', '\u0000', `${raw.headers[name]}0`]) {
        const changed = await read({ ...raw, headers: { ...raw.headers, [name]: value } });
        // More base64 behind a signature's end is no part of it.
        if (name === 'wechatpay-signature' && value?.endsWith('==0')) continue;
        expect(changed, `${name}: ${value}`).toMatchObject({ kind: 'refused' });
      }
    }
  });

  test('A WeChat Pay notification with the signature of a probe is refused', async () => {
    await paid();
    const { raw } = lastHeard();
    const signature = `WECHATPAY/SIGNTEST/${raw.headers['wechatpay-signature']}`;
    const headers = { ...raw.headers, 'wechatpay-signature': signature };
    expect(await read({ ...raw, headers })).toEqual({ kind: 'refused', reason: 'signature' });
  });

  test('A WeChat Pay notification for another app is refused', async () => {
    await paid();
    const { raw } = lastHeard();
    const other = openFrom(simulator, { appId: 'wx0000000000000000' });
    expect(await other.readNotification?.(raw)).toEqual({
      kind: 'refused',
      reason: 'other_merchant',
    });
  });
});
