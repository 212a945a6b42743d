import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { readPayments } from '../../src/config/payments.ts';
import { settingsReader } from '../../src/config/settings.ts';

const newPair = () =>
  generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
const { privateKey } = newPair();
const { publicKey } = newPair();
const merchant = {
  FLASHDROP_PUBLIC_URL: 'https://shop.example/',
  FLASHDROP_WECHAT_PAY_APP_ID: 'wxd678efh567hg6787',
  FLASHDROP_WECHAT_PAY_MERCHANT_ID: '1230000109',
  FLASHDROP_WECHAT_PAY_SERIAL: '1DDE55AD98ED71D6EDD4A4A16996DE7B47773A8C',
  FLASHDROP_WECHAT_PAY_PRIVATE_KEY: privateKey.replaceAll('\n', '\\n'),
  FLASHDROP_WECHAT_PAY_API_KEY: 'a7cde1ZJB1kG2e7VfTs3jQzaWizur8Gb',
};
const key = {
  FLASHDROP_WECHAT_PAY_PUBLIC_KEY_ID: 'PUB_KEY_ID_0000000000000024101100397200000006',
  FLASHDROP_WECHAT_PAY_PUBLIC_KEY: publicKey,
};

function readFrom(environment: Record<string, string>) {
  const settings = settingsReader(environment);
  return { ...readPayments(settings).wechatPay, problems: settings.problems };
}

describe('the settings of WeChat Pay', () => {
  test('WeChat Pay needs five settings, and its public API is used unless another URL is set', () => {
    const read = readFrom(merchant);
    expect(read).toMatchObject({ problems: [], url: 'https://api.mch.weixin.qq.com', privateKey });
    expect(read.publicKey).toBe(undefined);
    expect(readFrom({ ...merchant, FLASHDROP_WECHAT_PAY_URL: 'http://127.0.0.1:1' }).url).toBe(
      'http://127.0.0.1:1',
    );
  });

  test('The public key of WeChat Pay may be set, together with its id', () => {
    expect(readFrom({ ...merchant, ...key }).publicKey).toEqual({
      id: 'PUB_KEY_ID_0000000000000024101100397200000006',
      pem: publicKey,
    });
    for (const name of Object.keys(key)) {
      const { problems } = readFrom({ ...merchant, ...key, [name]: '' });
      expect(problems).toEqual([expect.stringContaining(`${name} must be set too`)]);
    }
  });

  test('Wrong settings of WeChat Pay are reported without showing a secret', () => {
    const wrong = {
      FLASHDROP_WECHAT_PAY_SERIAL: 'abc',
      FLASHDROP_WECHAT_PAY_PRIVATE_KEY: publicKey,
      FLASHDROP_WECHAT_PAY_API_KEY: 'my-own-secret',
      FLASHDROP_WECHAT_PAY_PUBLIC_KEY_ID: 'PUB_KEY',
    };
    const { problems } = readFrom({ ...merchant, ...key, ...wrong });
    expect(problems.map((problem) => problem.split(' ')[0])).toEqual(
      expect.arrayContaining(Object.keys(wrong)),
    );
    expect(problems.join()).not.toContain('my-own-secret');
  });

  test('A public key of WeChat Pay without the other settings is refused', () => {
    const { FLASHDROP_PUBLIC_URL } = merchant;
    const { problems } = readFrom({ FLASHDROP_PUBLIC_URL, ...key });
    expect(problems).toEqual([expect.stringContaining('FLASHDROP_WECHAT_PAY_APP_ID')]);
  });
});
