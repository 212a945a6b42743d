import { createPublicKey, createVerify, generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newMerchantId } from '../../src/domain/ids.ts';
import { subjectOf } from '../../src/payments/alipay/action.ts';
import { type AlipayOptions, openAlipay } from '../../src/payments/alipay/alipay.ts';
import { openClient } from '../../src/payments/alipay/client.ts';
import { fenOf, yuanOf } from '../../src/payments/alipay/money.ts';
import { chinaTime, fromChinaTime } from '../../src/payments/alipay/time.ts';
import type { Charge } from '../../src/payments/provider.ts';
import { anOrderId, aReference, newReference } from '../support/ids.ts';

// Recordings of Alipay's own, from the tests of its SDK:
// https://github.com/alipay/alipay-sdk-nodejs-all/blob/master/test/alipay.test.ts
const recorded = {
  // "verify sign should delete sign_type": a message about a payment of 2019, and the key of then.
  messageKey: spki(
    'MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAqObrdC7hrgAVM98tK0nv3hSQRGGKT4lBsQjHiGjeYZjOPIPHR5knm2jnnz/YGIXIofVHkA/tAlBAd5DrY7YpvI4tP5EONLtZKC2ghBMx7McI2wRD0xiqzxOQr1FuhZGJ8/AUokBzJrzY+aGX2xcOrxFYRlFilvVLTXg4LWjR1tdPkO6+i7wQZAIVMClPkwVRZEbaERRHlKqTzv2gGv5rDU8gRoe1LeaN+6BlbTqHWkQcNCUNrA8C6l17XAXGKDsm/9TFWwO8EPHHHCaQdjtV5/FdcWIt+L8SR1ss7EXTjYDFtxcKVv9rEoY1lX8T4mX+GbXfZHraG5NCF1+XioL5JwIDAQAB',
  ),
  message: {
    gmt_create: '2019-08-15 15:56:22',
    charset: 'utf-8',
    seller_email: 'z97-yuquerevenue@service.aliyun.com',
    subject: '语雀空间 500人规模',
    sign: 'QfTb8tqE1BMhS5qAnXtvsF3/jBkEvu9q9en0pdbBUDDjvKycZhQb7h8GDs4FKfi049PynaNuatxSgLb/nLWZpXyyh0LEWdK2S6Ri7nPwrVgOs08zugLO20vOQz44y3ti2Ncm8/wZts1Fr2gZ7pShnVX3d1B50hbsXnObT1r/U8ONNQjWXd0HIul4TG+Q3fm3svmSvFEy0WnzuhcyHPX5Gm4ELNctL6Qd5YniGJFNcc7kopHYtI/XD9YCKCH6Ct02rzUs9i11C9CsadtZn+WhxF26Dqt9sGEFajkJ8cxUTLi8+VCpLHsgPE8P0y095uQcDdK0YjCh4x7wVSov+lrmOQ==',
    buyer_id: '2088102534368455',
    invoice_amount: '0.10',
    notify_id: '2019081500222155624068450559358070',
    fund_bill_list: '[{"amount":"0.10","fundChannel":"ALIPAYACCOUNT"}]',
    notify_type: 'trade_status_sync',
    trade_status: 'TRADE_SUCCESS',
    receipt_amount: '0.10',
    buyer_pay_amount: '0.10',
    sign_type: 'RSA2',
    app_id: '2019073166072302',
    seller_id: '2088531891668739',
    gmt_payment: '2019-08-15 15:56:24',
    notify_time: '2019-08-15 15:56:25',
    version: '1.0',
    out_trade_no: '20190815155618536-564-57',
    total_amount: '0.10',
    trade_no: '2019081522001468450512505578',
    auth_app_id: '2019073166072302',
    buyer_logon_id: 'xud***@126.com',
    point_amount: '0.00',
  },
  // "checkResponseSign should work" with test/fixtures/alipay-public-key.pem.
  answerKey: spki(
    'MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAk7LzhmMa2c4qQd4fqAqenfbuFoA7stPKvoS1LrZEsVnOOGUUjwoa1oU9xsSPjcOWhIerU/VAN4J95GIAXx59ipcleIyfLn2FhHXPgLJpvo+b2jJFyn/1/DbeJDh+0yDVAOf50Z7HhI0mdUhFMkXlT7BU0ZMtJf/TmISFEfhDU/w6qFd6D42L97byAkq0K6LroglSVF24GqJEa7hSeUIkZWj7RasykXrc2uVJ1+ejkXE0LyPxa2AHykMGbJLf5SiZvaNzUZgnKIR36mLOHpQ/2JCXxhXZYUWHzy0kMH54JcUEeksFWBYLGvLjV1phbcUIc3Q76tIuqApY6E222OoZZQIDAQAB',
  ),
  answer:
    '{"alipay_open_file_upload_response":{"code":"10000","msg":"Success","file_id":"CAxAToWB1JsAAAAAAAAAAAAADgSLAQBr"},"sign":"F+LDzpTNiavn7xVZPGuPCSSVRSmWzJGgtuji6tVELGEaqMaNj0jRKXUEr5nloZJBBmwEnddOyCjjepMmrTKTvoOqQ0Efxpr/R1iEeHTHVbb/Q8TTh6Up5gHJDkILdaWS2q1cWeQ6VT+HQY9P3WRXS7uhILHuDODIhpAyCu5KhWGt0rMCIG+Im6NODJP2oohtSCtmTFXg58HH587Z2y2bdbjzOxLvzD9IrU1imghXQ2S/Q+wMIvRk9on6cWnBLkrNvJKapA2ReNGWOwyuASvB9zDVzhMPbR+3mfRGkVDxsq5HYLjBKGskJMXHw0HuugZij6ScRuaLPODhmHwr/pJ9yw=="}',
};

const ours = generateKeyPairSync('rsa', { modulusLength: 2048 });
const pkcs8 = ours.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
const pkcs1 = ours.privateKey.export({ type: 'pkcs1', format: 'pem' }).toString();

function spki(base64: string): string {
  const key = createPublicKey({ key: Buffer.from(base64, 'base64'), format: 'der', type: 'spki' });
  return key.export({ type: 'spki', format: 'pem' }).toString();
}

function alipayOf(change: Partial<AlipayOptions> = {}) {
  return openAlipay({
    appId: recorded.message.app_id,
    sellerId: recorded.message.seller_id,
    privateKey: pkcs8,
    alipayPublicKey: recorded.messageKey,
    url: 'http://127.0.0.1:9/gateway.do',
    notifyUrl: 'https://shop.example/v1/payments/alipay/notifications',
    clock: { now: () => fromChinaTime('2019-08-15 15:56:30') ?? 0 },
    ...change,
  });
}

const formOf = (parameters: Record<string, string>) => ({
  headers: {},
  body: Buffer.from(new URLSearchParams(parameters).toString()),
});

describe('A notification that Alipay itself once signed', () => {
  it('A notification signed by Alipay is read, with its Chinese subject, its spaces and its amount', async () => {
    expect(await alipayOf().readNotification?.(formOf(recorded.message))).toEqual({
      kind: 'verified',
      id: '2019081500222155624068450559358070',
      reference: '20190815155618536-564-57',
      sentAt: Date.parse('2019-08-15T15:56:25+08:00'),
      amount: 10,
      currency: 'CNY',
      about: 'TRADE_SUCCESS',
    });
  });

  it('A notification signed by Alipay is refused when any one of its parameters is changed', async () => {
    for (const name of Object.keys(recorded.message) as (keyof typeof recorded.message)[]) {
      const changed = { ...recorded.message, [name]: `0${recorded.message[name]}` };
      const { kind } = (await alipayOf().readNotification?.(formOf(changed))) ?? {};
      expect(kind, name).toBe('refused');
    }
  });

  it('A notification signed by Alipay is refused under another algorithm, or none', async () => {
    for (const sign_type of ['RSA', 'MD5', '', '__proto__']) {
      const changed = { ...recorded.message, sign_type };
      const told = await alipayOf().readNotification?.(formOf(changed));
      expect(told).toEqual({ kind: 'refused', reason: 'signature' });
    }
  });

  it('A notification of Alipay is stale after 26 hours, and more than five minutes before it was sent', async () => {
    const sent = fromChinaTime(recorded.message.notify_time) ?? 0;
    const readAt = async (now: number) =>
      await alipayOf({ clock: { now: () => now } }).readNotification?.(formOf(recorded.message));
    const stale = { kind: 'refused', reason: 'stale' };
    expect(await readAt(sent + 26 * 3600_000)).toMatchObject({ kind: 'verified' });
    expect(await readAt(sent + 26 * 3600_000 + 1)).toEqual(stale);
    expect(await readAt(sent - 5 * 60_000)).toMatchObject({ kind: 'verified' });
    expect(await readAt(sent - 5 * 60_000 - 1)).toEqual(stale);
  });

  it('A notification of Alipay for another application or seller is refused', async () => {
    const other = { kind: 'refused', reason: 'other_merchant' };
    for (const change of [{ appId: '2019073166072303' }, { sellerId: '2088531891668730' }]) {
      const told = await alipayOf(change).readNotification?.(formOf(recorded.message));
      expect(told).toEqual(other);
    }
  });
});

describe('A body that is not a notification', () => {
  const good = new URLSearchParams(recorded.message).toString();
  const bodies: Record<string, string | Buffer> = {
    'that is empty': '',
    'of JSON': JSON.stringify(recorded.message),
    'of 17 KB': `${good}&more=${'x'.repeat(17 * 1024)}`,
    'of 150 names': `${good}&${Array.from({ length: 150 }, (_, i) => `n${i}=1`).join('&')}`,
    'with a name twice': `${good}&total_amount=0.10`,
    'with a name twice, in other letters': `${good}&total%5Famount=0.10`,
    'in another charset': good.replace('charset=utf-8', 'charset=gbk'),
    'with bytes that are no UTF-8': Buffer.concat([Buffer.from(`${good}&a=`), Buffer.of(0xff)]),
    'with escapes that are no UTF-8': `${good}&a=%FF`,
    'with half an escape': `${good}&a=%E`,
    'with an empty name': `${good}&=1`,
  };
  for (const [what, body] of Object.entries(bodies)) {
    it(`A body ${what} is a malformed Alipay notification, never an exception`, async () => {
      const raw = { headers: {}, body: Buffer.from(body) };
      const told = await alipayOf().readNotification?.(raw);
      expect(told).toEqual({ kind: 'refused', reason: 'malformed' });
    });
  }
});

describe('An answer that Alipay itself once signed', () => {
  let served = '';
  const server = createServer((_, response) => response.end(served));
  beforeAll(async () => {
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  });
  afterAll(() => {
    server.close();
    server.closeAllConnections();
  });

  async function ask(answer: string) {
    served = answer;
    const client = openClient({
      appId: 'a',
      privateKey: pkcs1,
      alipayPublicKey: recorded.answerKey,
      url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/gateway.do`,
      notifyUrl: '',
      timeoutMs: 5000,
      clock: { now: () => 0 },
    });
    return await client.call('alipay.open.file.upload', {});
  }

  it('An answer signed by Alipay is accepted', async () => {
    expect(await ask(recorded.answer)).toMatchObject({
      kind: 'done',
      fields: { file_id: 'CAxAToWB1JsAAAAAAAAAAAAADgSLAQBr' },
    });
  });

  it('An answer of Alipay with a letter changed or without a signature leaves the outcome unknown', async () => {
    const unsigned = recorded.answer.replace(/,"sign":.*$/, '}');
    for (const answer of [recorded.answer.replace('DgSLAQBr', 'DgSLAQBs'), unsigned]) {
      expect(await ask(answer)).toEqual({ kind: 'unknown' });
    }
  });

  it('An answer of Alipay with a forged second node of the same name leaves the outcome unknown', async () => {
    const forged = '{"code":"10000","msg":"Success","file_id":"forged"}';
    for (const name of [
      'alipay_open_file_upload_response',
      'alipay_open_file_upload_respons\\u0065',
    ]) {
      const answer = recorded.answer.replace(/}$/, `,"${name}":${forged}}`);
      expect(await ask(answer)).toEqual({ kind: 'unknown' });
    }
  });
});

describe('Client actions', () => {
  const charge: Charge = {
    reference: aReference(`fd${'0a'.repeat(15)}`),
    startedAt: fromChinaTime('2019-08-15 15:56:30') ?? 0,
    orderId: anOrderId(),
    buyer: 'b',
    merchantId: newMerchantId(),
    amount: 199_900,
    currency: 'CNY',
    title: '小米手机 2 = 16 GB / black & white + 100%',
    expiresAt: Date.parse('2019-08-15T08:11:30.900Z'),
    wish: { returnUrl: 'https://shop.example/orders/1?a=b&c=小米' },
  };

  async function parametersOf(scene: string, change: Partial<AlipayOptions> = {}) {
    const [outcome] = await alipayOf(change).start([
      { ...charge, wish: { ...charge.wish, scene } },
    ]);
    if (outcome?.kind !== 'pending') throw new Error(`it is ${outcome?.kind}`);
    const { action } = outcome;
    if (action?.kind === 'redirect') return Object.fromEntries(new URL(action.url).searchParams);
    if (action?.kind !== 'sdk') throw new Error('nothing to pay with');
    return Object.fromEntries(new URLSearchParams(action.parameters['orderString']));
  }

  /** The rule of https://opendocs.alipay.com/common/02kf5q, written down again. */
  function isSignedByUs({ sign = '', ...parameters }: Record<string, string>): boolean {
    const names = Object.keys(parameters).filter((name) => parameters[name] !== '');
    const text = names.sort().map((name) => `${name}=${parameters[name]}`);
    return createVerify('RSA-SHA256').update(text.join('&')).verify(ours.publicKey, sign, 'base64');
  }

  const products = {
    page: ['alipay.trade.page.pay', 'FAST_INSTANT_TRADE_PAY'],
    wap: ['alipay.trade.wap.pay', 'QUICK_WAP_WAY'],
    app: ['alipay.trade.app.pay', 'QUICK_MSECURITY_PAY'],
  } as const;
  for (const [scene, [method, product]] of Object.entries(products)) {
    it(`An Alipay action for ${scene} has the exact amount and the end of its time, and is signed`, async () => {
      const sent = await parametersOf(scene);
      expect(isSignedByUs(sent)).toBe(true);
      expect(sent).toMatchObject({
        method,
        app_id: recorded.message.app_id,
        sign_type: 'RSA2',
        timestamp: '2019-08-15 15:56:30',
        notify_url: 'https://shop.example/v1/payments/alipay/notifications',
        ...(scene !== 'app' && { return_url: charge.wish.returnUrl }),
      });
      expect(JSON.parse(sent['biz_content'] ?? '')).toEqual({
        out_trade_no: charge.reference,
        total_amount: '1999.00',
        subject: '小米手机 2   16 GB   black   white + 100%',
        product_code: product,
        time_expire: '2019-08-15 16:11:30',
        ...(scene === 'wap' && { quit_url: charge.wish.returnUrl }),
      });
    });
  }

  it('A repeated Alipay action is the same, except for the time and the signature', async () => {
    const { timestamp, sign, ...first } = await parametersOf('page');
    const clock = { now: () => charge.startedAt + 1000 };
    expect(await parametersOf('page', { clock })).toMatchObject(first);
  });

  it('An Alipay action has the same signature for a key of either format, whatever text surrounds the key', async () => {
    const expected = await parametersOf('app');
    for (const privateKey of [pkcs1, `\n${pkcs8}\n\n`, pkcs1.replaceAll('\n', '\r\n')]) {
      expect(await parametersOf('app', { privateKey })).toEqual(expected);
    }
  });

  it('An Alipay action has a title of at most 256 bytes, as Alipay counts them, and never an empty one', () => {
    const reference = newReference();
    const titled = (title: string) => subjectOf({ title, reference });
    expect(titled('米'.repeat(200))).toBe('米'.repeat(128));
    expect(titled('a'.repeat(300))).toBe('a'.repeat(256));
    expect(titled(`${'a'.repeat(254)}😀`)).toBe('a'.repeat(254));
    expect(titled('/&=\n')).toBe(reference);
    expect(titled('one\u0000two')).toBe('one two');
  });

  it('There is no Alipay action for an amount that Alipay does not take', async () => {
    for (const amount of [0, 10_000_000_001]) {
      const outcomes = await alipayOf().start([{ ...charge, amount }]);
      expect(outcomes).toEqual([
        { reference: charge.reference, kind: 'declined', reason: 'declined' },
      ]);
    }
  });
});

describe('Amounts', () => {
  it('An amount is converted to yuan and back to the fen', () => {
    for (const fen of [0, 1, 10, 99, 100, 101, 8888, 1999, 113, 115, 9_999_999_999]) {
      expect(fenOf(yuanOf(fen))).toBe(fen);
    }
    expect(yuanOf(8888)).toBe('88.88');
    expect([fenOf('88.88'), fenOf('1.1'), fenOf('7'), fenOf('100000000.00')]).toEqual([
      8888, 110, 700, 10_000_000_000,
    ]);
  });

  it('An amount in any other format is refused', () => {
    const forms = ['', '-1', '+1', '1.', '.5', '1.001', '01', '1e3', '1,000.00', '٣', ' 1', '0x1'];
    for (const form of [...forms, '100000000.01', '99999999999', 'NaN', null, undefined, {}]) {
      expect(fenOf(form), String(form)).toBeUndefined();
    }
  });
});

describe('Times in China', () => {
  it('The time in China is eight hours ahead, also on leap days and at the end of a year', () => {
    for (const iso of ['2024-02-29T15:59:59Z', '2024-12-31T16:00:00Z', '1991-06-01T00:00:00Z']) {
      expect(fromChinaTime(chinaTime(Date.parse(iso)))).toBe(Date.parse(iso));
    }
    expect(chinaTime(Date.parse('2024-12-31T16:00:00.999Z'))).toBe('2025-01-01 00:00:00');
  });

  it('A time that does not exist is refused', () => {
    for (const text of ['2023-02-29 00:00:00', '2023-13-01 00:00:00', '2023-01-01 24:00:00', '']) {
      expect(fromChinaTime(text), text).toBeUndefined();
    }
  });
});
