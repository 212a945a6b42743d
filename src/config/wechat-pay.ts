import { isOwnKey, privateKeyPem, publicKeyPem } from './keys.ts';
import { allOrNone, shortText } from './provider-settings.ts';
import { type Kind, matching, type SettingsReader, url } from './settings.ts';

export type WechatPaySettings = {
  appId: string;
  merchantId: string;
  /** Serial number of the merchant's certificate, whose key signs our requests. */
  serial: string;
  /** PEM. */
  privateKey: string;
  /** The APIv3 key, which decrypts what WeChat Pay sends: 32 bytes. */
  apiKey: string;
  /** WeChat Pay's public key, for a merchant who has one instead of platform certificates. */
  publicKey?: { id: string; pem: string } | undefined;
  /** Base URL of the API. */
  url: string;
};

export function readWechatPay(settings: SettingsReader): WechatPaySettings | undefined {
  const api = settings.read('FLASHDROP_WECHAT_PAY_URL', url('https', 'http'));
  const names = {
    appId: 'FLASHDROP_WECHAT_PAY_APP_ID',
    merchantId: 'FLASHDROP_WECHAT_PAY_MERCHANT_ID',
    serial: 'FLASHDROP_WECHAT_PAY_SERIAL',
    privateKey: 'FLASHDROP_WECHAT_PAY_PRIVATE_KEY',
    apiKey: 'FLASHDROP_WECHAT_PAY_API_KEY',
  };
  const publicKey = readPublicKey(settings);
  const own = allOrNone<Omit<WechatPaySettings, 'url' | 'publicKey'>>(settings, names, {
    appId: settings.read(names.appId, shortText),
    merchantId: settings.read(names.merchantId, shortText),
    serial: settings.read(names.serial, serialNumber),
    privateKey: settings.read(names.privateKey, privateKeyPem),
    apiKey: settings.read(names.apiKey, {
      ...matching('32 letters and digits, the APIv3 key', /^[0-9A-Za-z]{32}$/),
      secret: true,
    }),
  });
  if (publicKey && !Object.values(names).some(settings.isGiven)) {
    settings.problems.push(
      `FLASHDROP_WECHAT_PAY_PUBLIC_KEY needs ${Object.values(names).join(', ')}`,
    );
  }
  if (own && publicKey && isOwnKey(publicKey.pem, own.privateKey)) {
    settings.problems.push(
      `FLASHDROP_WECHAT_PAY_PUBLIC_KEY is the public key of ${names.privateKey}: it must be WeChat ` +
        "Pay's own, which the merchant platform offers for download",
    );
  }
  return own && { ...own, publicKey, url: api ?? 'https://api.mch.weixin.qq.com' };
}

/** In capitals and without separators, as WeChat Pay writes it; openssl and browsers show it otherwise. */
const serialNumber: Kind<string> = {
  allowed: "40 hexadecimal digits, the serial number of the merchant's certificate",
  parse(text) {
    const digits = text.replace(/^(serial=|0x)/i, '').replaceAll(/[\s:-]/g, '');
    return /^[0-9A-F]{40}$/i.test(digits) ? digits.toUpperCase() : undefined;
  },
};

/** Newer merchants have this key; for the others the platform certificates are fetched. */
function readPublicKey(settings: SettingsReader): WechatPaySettings['publicKey'] {
  const names = {
    id: 'FLASHDROP_WECHAT_PAY_PUBLIC_KEY_ID',
    pem: 'FLASHDROP_WECHAT_PAY_PUBLIC_KEY',
  };
  const id = matching(
    'PUB_KEY_ID_ and digits, as the merchant platform shows it',
    /^PUB_KEY_ID_\w{1,64}$/,
  );
  return allOrNone<{ id: string; pem: string }>(settings, names, {
    id: settings.read(names.id, id),
    pem: settings.read(names.pem, publicKeyPem),
  });
}
