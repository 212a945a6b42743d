import { type AlipaySettings, readAlipay } from './alipay.ts';
import { type SettingsReader, url } from './settings.ts';
import { readStripe, type StripeSettings } from './stripe.ts';
import { readWechatPay, type WechatPaySettings } from './wechat-pay.ts';

/** The providers beside the wallet, each only when it is configured. */
export type PaymentSettings = {
  /** Where providers and buyers reach this engine from outside; '' when no provider needs it. */
  publicUrl: string;
  stripe?: StripeSettings | undefined;
  alipay?: AlipaySettings | undefined;
  wechatPay?: WechatPaySettings | undefined;
};

/**
 * Reads what buyers may pay by. A provider of which nothing is set is not offered; one of which a
 * part is set is a mistake, and told.
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

/** The providers beside the wallet that are configured, by the names that buyers know them by. */
export function offeredOf({ stripe, alipay, wechatPay }: PaymentSettings): string[] {
  const all = { stripe, alipay, wechat_pay: wechatPay };
  return Object.entries(all).flatMap(([name, settings]) => (settings ? [name] : []));
}

/** Where a provider sends its notifications. */
export function notifyUrl({ publicUrl }: Pick<PaymentSettings, 'publicUrl'>, provider: string) {
  return `${publicUrl}/v1/payments/${provider}/notifications`;
}
