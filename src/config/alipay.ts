import { isOwnKey, privateKeyPem, publicKeyPem } from './keys.ts';
import { allOrNone, shortText } from './provider-settings.ts';
import { type SettingsReader, url } from './settings.ts';

export type AlipaySettings = {
  appId: string;
  /** The merchant's account at Alipay; a notification must name it. */
  sellerId: string;
  /** PEM. */
  privateKey: string;
  /** Alipay's public key, not the merchant's; PEM. */
  alipayPublicKey: string;
  /** The gateway. */
  url: string;
};

export function readAlipay(settings: SettingsReader): AlipaySettings | undefined {
  const gateway = settings.read('FLASHDROP_ALIPAY_URL', url('https', 'http'));
  const names = {
    appId: 'FLASHDROP_ALIPAY_APP_ID',
    sellerId: 'FLASHDROP_ALIPAY_SELLER_ID',
    privateKey: 'FLASHDROP_ALIPAY_PRIVATE_KEY',
    alipayPublicKey: 'FLASHDROP_ALIPAY_PUBLIC_KEY',
  };
  const own = allOrNone<Omit<AlipaySettings, 'url'>>(settings, names, {
    appId: settings.read(names.appId, shortText),
    sellerId: settings.read(names.sellerId, shortText),
    privateKey: settings.read(names.privateKey, privateKeyPem),
    alipayPublicKey: settings.read(names.alipayPublicKey, publicKeyPem),
  });
  if (own && isOwnKey(own.alipayPublicKey, own.privateKey)) {
    settings.problems.push(
      `${names.alipayPublicKey} is the public key of ${names.privateKey}: it must be Alipay's own, ` +
        'which its console shows beside the key that was entered there',
    );
  }
  return own && { ...own, url: gateway ?? 'https://openapi.alipay.com/gateway.do' };
}
