import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readPayments } from '../../src/config/payments.ts';
import { settingsReader } from '../../src/config/settings.ts';

const own = generateKeyPairSync('rsa', { modulusLength: 2048 });
const theirs = generateKeyPairSync('rsa', { modulusLength: 2048 });
const serial = '1DDE55AD98ED71D6EDD4A4A16996DE7B47773A8C';

const pemOf = (key: KeyObject, type: 'pkcs1' | 'pkcs8' | 'spki') =>
  key.export({ type, format: 'pem' } as never).toString();
const bare = (pem: string) => pem.replaceAll(/-----.*-----|\n/g, '');
const pkcs8 = pemOf(own.privateKey, 'pkcs8');
const pkcs1 = pemOf(own.privateKey, 'pkcs1');
const spki = pemOf(theirs.publicKey, 'spki');

/** The same PEM as it comes out of consoles, dashboards, secret stores and clipboards. */
const spellings: [what: string, spelled: (pem: string) => string][] = [
  ['PEM with its line breaks', (pem) => pem],
  ['PEM with Windows line breaks', (pem) => pem.replaceAll('\n', '\r\n')],
  ['PEM in one line with \\n', (pem) => pem.replaceAll('\n', '\\n')],
  ['PEM in one line with \\r\\n', (pem) => pem.replaceAll('\n', '\\r\\n')],
  ['PEM in one line with blanks', (pem) => pem.replaceAll('\n', ' ')],
  ['PEM in one line without any break', (pem) => pem.replaceAll('\n', '')],
  ['PEM in quotes', (pem) => `"${pem.replaceAll('\n', '\\n')}"`],
  ['PEM in single quotes with blanks around', (pem) => ` '${pem}' \n`],
  ['PEM behind other text', (pem) => `Bag Attributes\n    friendlyName: Tenpay\n${pem}`],
  ['base64 alone', bare],
  ['base64 alone in quotes, with a line end', (pem) => `"${bare(pem)}"\r\n`],
  ['base64 alone in lines', (pem) => pem.replaceAll(/-----.*-----\n/g, '')],
];

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'flashdrop test keys '));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function read(change: Record<string, string> = {}) {
  const settings = settingsReader({
    FLASHDROP_PUBLIC_URL: 'https://shop.example',
    FLASHDROP_ALIPAY_APP_ID: '2021000000000000',
    FLASHDROP_ALIPAY_SELLER_ID: '2088000000000000',
    FLASHDROP_ALIPAY_PRIVATE_KEY: pkcs8,
    FLASHDROP_ALIPAY_PUBLIC_KEY: spki,
    FLASHDROP_WECHAT_PAY_APP_ID: 'wxd678efh567hg6787',
    FLASHDROP_WECHAT_PAY_MERCHANT_ID: '1230000109',
    FLASHDROP_WECHAT_PAY_SERIAL: serial,
    FLASHDROP_WECHAT_PAY_PRIVATE_KEY: pkcs8,
    FLASHDROP_WECHAT_PAY_API_KEY: 'a7cde1ZJB1kG2e7VfTs3jQzaWizur8Gb',
    FLASHDROP_WECHAT_PAY_PUBLIC_KEY_ID: 'PUB_KEY_ID_0000000000000024101100397200000006',
    FLASHDROP_WECHAT_PAY_PUBLIC_KEY: spki,
    ...change,
  });
  const { alipay, wechatPay } = readPayments(settings);
  return { alipay, wechatPay, problems: settings.problems };
}

describe('keys as providers hand them out', () => {
  test.each(spellings)(
    'A private key is the same key as %s, in PKCS#8 and in PKCS#1, whatever its label says',
    (_what, spelled) => {
      const mislabelled = pkcs8.replaceAll(' PRIVATE', ' RSA PRIVATE');
      for (const pem of [pkcs8, pkcs1, mislabelled]) {
        const { alipay, wechatPay, problems } = read({
          FLASHDROP_ALIPAY_PRIVATE_KEY: spelled(pem),
          FLASHDROP_WECHAT_PAY_PRIVATE_KEY: spelled(pem),
        });
        expect(problems).toEqual([]);
        expect([alipay?.privateKey, wechatPay?.privateKey]).toEqual([pkcs8, pkcs8]);
      }
    },
  );

  test.each(spellings)(
    'A public key is the same key as %s, in SPKI and in PKCS#1',
    (_what, spelled) => {
      for (const pem of [spki, pemOf(theirs.publicKey, 'pkcs1')]) {
        const { alipay, wechatPay, problems } = read({
          FLASHDROP_ALIPAY_PUBLIC_KEY: spelled(pem),
          FLASHDROP_WECHAT_PAY_PUBLIC_KEY: spelled(pem),
        });
        expect(problems).toEqual([]);
        expect([alipay?.alipayPublicKey, wechatPay?.publicKey?.pem]).toEqual([spki, spki]);
      }
    },
  );

  test('A key file may hold PEM or base64 alone, with a byte order mark, and in UTF-16', () => {
    const contents = [
      Buffer.from(pkcs1),
      Buffer.from(`\ufeff${bare(pkcs8)}\r\n`),
      Buffer.from(`\ufeff${pkcs8}`, 'utf16le'),
    ];
    for (const content of contents) {
      const path = join(folder, 'key');
      writeFileSync(path, content);
      expect(read({ FLASHDROP_ALIPAY_PRIVATE_KEY: path }).alipay?.privateKey).toBe(pkcs8);
    }
  });

  test.each([
    ['in lower case', serial.toLowerCase()],
    ['with colons', serial.replaceAll(/(..)(?=.)/g, '$1:')],
    ['with blanks', serial.replaceAll(/(..)/g, '$1 ')],
    ['with a blank and a line end behind it', ` ${serial} \r\n`],
    ['in quotes', `"${serial}"`],
    ['as openssl prints it', `serial=${serial}`],
  ])('A serial number %s is taken as WeChat Pay writes it', (_what, written) => {
    expect(read({ FLASHDROP_WECHAT_PAY_SERIAL: written }).wechatPay?.serial).toBe(serial);
  });

  test('Every setting is taken without the blanks, line end and quotes that were copied with it', () => {
    const { alipay, wechatPay, problems } = read({
      FLASHDROP_ALIPAY_APP_ID: '"2021000000000000"',
      FLASHDROP_ALIPAY_SELLER_ID: '2088000000000000\r\n',
      FLASHDROP_WECHAT_PAY_API_KEY: ' a7cde1ZJB1kG2e7VfTs3jQzaWizur8Gb ',
    });
    expect(problems).toEqual([]);
    expect([alipay?.appId, alipay?.sellerId]).toEqual(['2021000000000000', '2088000000000000']);
    expect(wechatPay?.apiKey).toBe('a7cde1ZJB1kG2e7VfTs3jQzaWizur8Gb');
  });
});

describe('keys that are not the one that is asked for', () => {
  const privateName = 'FLASHDROP_ALIPAY_PRIVATE_KEY';
  const publicName = 'FLASHDROP_ALIPAY_PUBLIC_KEY';
  const ellipticCurve = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const locked = own.privateKey
    .export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' })
    .toString();

  test.each([
    ['a public key', privateName, spki, /is a public key: it must be an RSA private key/],
    ['a locked private key', privateName, locked, /is a private key under a password/],
    ['a private key of a curve', privateName, pemOf(ellipticCurve.privateKey, 'pkcs8'), /RSA/],
    ['a file that is not there', privateName, './no-such-key.pem', /no file that can be read/],
    ['half of a key', privateName, bare(pkcs8).slice(0, 400), /must be an RSA private key/],
    ['a private key', publicName, pkcs8, /is a private key: it must be an RSA public key/],
    [
      "the merchant's own public key",
      publicName,
      pemOf(createPublicKey(own.privateKey), 'spki'),
      /is the public key of FLASHDROP_ALIPAY_PRIVATE_KEY/,
    ],
  ])(
    'In place of a key %s is refused in one line that says so and shows nothing of it',
    (_what, name, text, says) => {
      const { problems } = read({ [name]: text });
      expect(problems).toEqual([expect.stringMatching(says)]);
      expect(problems[0]).toContain(name);
      expect(problems[0]).not.toContain(bare(text).slice(30, 60) || '-');
    },
  );

  test("The merchant's own public key is refused in place of WeChat Pay's", () => {
    const { problems } = read({
      FLASHDROP_WECHAT_PAY_PUBLIC_KEY: pemOf(own.publicKey, 'spki'),
    });
    expect(problems).toEqual([expect.stringContaining("WeChat Pay's own")]);
  });
});
