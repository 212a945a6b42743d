import type { KeyObject } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { type Identity, newIdentity } from '../../simulators/wechat-pay/certificate.ts';
import { beijingTime, seal, signedHeaders } from '../../simulators/wechat-pay/wire.ts';
import { openCertificates } from '../../src/payments/wechat-pay/certificates.ts';
import { openHttp } from '../../src/payments/wechat-pay/http.ts';
import { type Signed, signedOf } from '../../src/payments/wechat-pay/signing.ts';
import { openWechatPay } from '../../src/payments/wechat-pay/wechat-pay.ts';
import { newReference } from '../support/ids.ts';
import { serve } from './wechat-pay-stage.ts';

const reference = newReference();
const apiKey = 'a7cde1ZJB1kG2e7VfTs3jQzaWizur8Gb';
const merchant = newIdentity('Merchant');
const [first, second] = [newIdentity('First'), newIdentity('Second')];

/** WeChat Pay's list of certificates, and what is trusted by it. */
async function stage(change: { sealedUnder?: string; signer?: Identity; own?: Identity } = {}) {
  const state = { listed: [first], asked: 0, now: Date.now() };
  const url = await serve(async () => {
    state.asked += 1;
    const data = state.listed.map((identity) => entryOf(identity, change.sealedUnder ?? apiKey));
    const body = Buffer.from(JSON.stringify({ data }));
    const signer = change.signer ?? (state.listed.at(-1) as Identity);
    return { status: 200, headers: signedHeaders(signer, body, state.now), body };
  });
  const clock = { now: () => state.now };
  const signer = { merchantId: '1', serial: merchant.serial, privateKey: merchant.privateKey };
  const http = openHttp({ url, signer, timeoutMs: 2_000, clock });
  const publicKey = change.own && { id: 'PUB_KEY_ID_1', pem: pemOf(change.own.publicKey) };
  return { state, certificates: openCertificates({ http, apiKey, publicKey, clock }) };
}

function entryOf(identity: Identity, key: string): object {
  return {
    serial_no: identity.serial,
    effective_time: beijingTime(identity.from.getTime()),
    expire_time: beijingTime(identity.until.getTime()),
    encrypt_certificate: seal(identity.certificate, {
      apiKey: key,
      associatedData: 'certificate',
    }),
  };
}

function signedBy(identity: Identity, serial = identity.serial): Signed {
  const body = Buffer.from('{}');
  const headers = signedHeaders({ ...identity, serial }, body);
  const signed = signedOf((name) => headers[name], body);
  if (!signed) throw new Error('bug: not signed');
  return signed;
}

function pemOf(key: KeyObject): string {
  return key.export({ type: 'spki', format: 'pem' }).toString();
}

describe('Platform certificates', () => {
  test('WeChat Pay’s certificates are fetched once for many waiting callers, and then kept', async () => {
    const { state, certificates } = await stage();
    const many = Array.from({ length: 20 }, () => certificates.trusts(signedBy(first)));
    expect(new Set(await Promise.all(many))).toEqual(new Set([true]));
    expect(await certificates.trusts(signedBy(second, first.serial))).toBe(false);
    expect(state.asked).toBe(1);
  });

  test('A new WeChat Pay certificate is found by its serial, and the old ones stay valid', async () => {
    const { state, certificates } = await stage();
    expect(await certificates.trusts(signedBy(first))).toBe(true);
    state.listed = [first, second];
    state.now += 60_001;
    expect(await certificates.trusts(signedBy(second))).toBe(true);
    expect(await certificates.trusts(signedBy(first))).toBe(true);
    expect(state.asked).toBe(2);
  });

  test('WeChat Pay’s certificates are requested once a minute at most, whatever serials notifications name', async () => {
    const { state, certificates } = await stage();
    for (let named = 0; named < 50; named += 1) {
      const serial = named.toString(16).padStart(40, 'A').toUpperCase();
      expect(await certificates.trusts(signedBy(second, serial))).toBe(false);
    }
    expect(await certificates.trusts(signedBy(second, 'PUB_KEY_ID_1'))).toBe(false);
    expect(state.asked).toBe(1);
    state.now += 60_001;
    await certificates.trusts(signedBy(second));
    expect(state.asked).toBe(2);
  });

  test('WeChat Pay certificates that have expired or are not valid yet are not trusted', async () => {
    const { state, certificates } = await stage();
    const dayMs = 24 * 3_600_000;
    const old = newIdentity('Old', { until: new Date(state.now - 1_000) });
    const young = newIdentity('Young', { from: new Date(state.now + dayMs) });
    state.listed = [old, young, first];
    expect(await certificates.trusts(signedBy(old))).toBe(false);
    expect(await certificates.trusts(signedBy(young))).toBe(false);
    expect(await certificates.trusts(signedBy(first))).toBe(true);
  });

  test('WeChat Pay certificates are not accepted from a server without the APIv3 key', async () => {
    const { certificates } = await stage({ sealedUnder: '0'.repeat(32) });
    expect(await certificates.trusts(signedBy(first))).toBe(false);
  });

  test('WeChat Pay certificates are not accepted from a list that none of them signed', async () => {
    const { certificates } = await stage({ signer: { ...second, serial: first.serial } });
    expect(await certificates.trusts(signedBy(first))).toBe(false);
  });
});

describe('The public key of a merchant who has one', () => {
  test('A WeChat Pay public key is trusted under its id without any list', async () => {
    const { state, certificates } = await stage({ own: second });
    expect(await certificates.trusts(signedBy(second, 'PUB_KEY_ID_1'))).toBe(true);
    expect(await certificates.trusts(signedBy(first, 'PUB_KEY_ID_1'))).toBe(false);
    expect(state.asked).toBe(0);
    // While WeChat Pay changes over, some is still signed by a certificate.
    expect(await certificates.trusts(signedBy(first))).toBe(true);
  });

  test('A WeChat Pay public key is named in each request, and answers that it signed are accepted', async () => {
    const asked: unknown[] = [];
    const url = await serve(async (request) => {
      asked.push(request.headers['wechatpay-serial']);
      const body = Buffer.from('{"code":"ORDER_NOT_EXIST","message":"none"}');
      const headers = signedHeaders({ ...second, serial: 'PUB_KEY_ID_1' }, body);
      return { status: 404, headers, body };
    });
    const outcomes = await openWithKey({ url }).lookUp([{ reference, startedAt: 0 }]);
    expect(outcomes).toEqual([{ reference, kind: 'none' }]);
    expect(asked).toEqual(['PUB_KEY_ID_1']);
  });
});

describe('Signed answers', () => {
  test.for([
    ['made just now', 'none', 0, 1],
    ['made an hour ago, which may be a replay,', 'unknown', 3_600_000, 1],
    ['of too great a length', 'unknown', 0, 2 * 1024 * 1024],
  ] as const)(
    'A signed WeChat Pay answer %s gives the outcome %s',
    async ([, kind, agoMs, length]) => {
      const url = await serve(async () => {
        const content = { code: 'ORDER_NOT_EXIST', message: 'x'.repeat(length) };
        const body = Buffer.from(JSON.stringify(content));
        const signer = { ...second, serial: 'PUB_KEY_ID_1' };
        return { status: 404, headers: signedHeaders(signer, body, Date.now() - agoMs), body };
      });
      const outcomes = await openWithKey({ url }).lookUp([{ reference, startedAt: 0 }]);
      expect(outcomes).toEqual([{ reference, kind }]);
    },
  );
});

/** The provider of a merchant whose public key of WeChat Pay is the second. */
function openWithKey(options: { url?: string; warn?: (text: string) => void } = {}) {
  return openWechatPay({
    appId: 'wx1',
    merchantId: '1',
    serial: merchant.serial,
    apiKey,
    privateKey: merchant.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    publicKey: { id: 'PUB_KEY_ID_1', pem: pemOf(second.publicKey) },
    notifyUrl: 'https://shop.example/notifications',
    url: 'http://127.0.0.1:9',
    ...options,
  });
}

describe('Notifications that WeChat Pay signed', () => {
  const told: string[] = [];
  const provider = openWithKey({ warn: (text) => told.push(text) });

  async function reading(body: string) {
    const headers = signedHeaders({ ...second, serial: 'PUB_KEY_ID_1' }, body);
    return await provider.readNotification?.({ headers, body: Buffer.from(body) });
  }
  function message(content: object, change: object = {}, key = apiKey): string {
    const resource = seal(JSON.stringify(content), { apiKey: key, associatedData: 'transaction' });
    return JSON.stringify({ id: 'EV-1', event_type: 'TRANSACTION.SUCCESS', resource, ...change });
  }
  const content = { mchid: '1', appid: 'wx1', out_trade_no: 'fd1' };
  const malformed = { kind: 'refused', reason: 'malformed' };

  test('A signed WeChat Pay notification is read, without an amount when it names none', async () => {
    const { amount, ...rest } = { ...(await reading(message(content))) } as Record<string, unknown>;
    expect(rest).toMatchObject({ kind: 'verified', id: 'EV-1', reference: 'fd1' });
    expect(amount).toBe(undefined);
  });

  test('A signed WeChat Pay notification about something else is ignored', async () => {
    const about = 'PAYSCORE.USER_OPEN_SERVICE';
    const ignored = { kind: 'ignored', about };
    expect(await reading(message(content, { event_type: about }))).toEqual(ignored);
  });

  test('A WeChat Pay notification encrypted with another APIv3 key is refused, and the reason is logged', async () => {
    expect(await reading(message(content, {}, '0'.repeat(32)))).toEqual(malformed);
    expect(told.join()).toContain('another APIv3 key');
  });

  test('A signed WeChat Pay notification of an undocumented shape is refused without an exception', async () => {
    const bodies = [
      ...['', 'x', '[]', 'null', '{}', '{"id":1}', '{"id":"a","event_type":"TRANSACTION.X"}'],
      message(content, { id: 'x'.repeat(65) }),
      message(content, { resource: [] }),
      message(content, {
        resource: { algorithm: 'AEAD_AES_256_GCM', ciphertext: 'x', nonce: 'y' },
      }),
      message([]),
      message({ ...content, out_trade_no: 'x'.repeat(33) }),
      message({ ...content, out_trade_no: { toString: 1 } }),
    ];
    for (const body of bodies) expect(await reading(body), body).toEqual(malformed);
  });
});
