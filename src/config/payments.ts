import { type AlipaySettings, readAlipay } from './alipay.ts';
import { type SettingsReader, url } from './settings.ts';
import { readStripe, type StripeSettings } from './stripe.ts';
import { readWechatPay, type WechatPaySettings } from './wechat-pay.ts';

/** Settings of the payment providers besides the wallet; undefined for one that is not configured. */
export type PaymentSettings = {
  /** The engine's URL for providers and buyers, without a slash at the end; '' when not set. */
  publicUrl: string;
  stripe?: StripeSettings | undefined;
  alipay?: AlipaySettings | undefined;
  wechatPay?: WechatPaySettings | undefined;
};

/**
 * Reads the settings of the payment providers. A provider without any is not offered; one with only
 * some of its settings is reported as a problem.
 */
export function readPayments(settings: SettingsReader): PaymentSettings {
  const publicUrl = settings.read('FLASHDROP_PUBLIC_URL', url('https', 'http'));
  const stripe = readStripe(settings);
  const alipay = readAlipay(settings);
  const wechatPay = readWechatPay(settings);
  if ((stripe || alipay || wechatPay) && !publicUrl) {
    settings.problems.push(
      'FLASHDROP_PUBLIC_URL must be set when a payment provider is: it is where the provider ' +
        'sends its notifications, such as https://shop.example',
    );
  }
  return { publicUrl: publicUrl?.replace(/\/+$/, '') ?? '', stripe, alipay, wechatPay };
}

/** Names of the configured providers, as in the API; without the wallet. */
export function offeredOf({ stripe, alipay, wechatPay }: PaymentSettings): string[] {
  const all = { stripe, alipay, wechat_pay: wechatPay };
  return Object.entries(all).flatMap(([name, settings]) => (settings ? [name] : []));
}

/** The URL to which a provider sends its notifications. */
export function notifyUrl({ publicUrl }: Pick<PaymentSettings, 'publicUrl'>, provider: string) {
  return `${publicUrl}/v1/payments/${provider}/notifications`;
}
