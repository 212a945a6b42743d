import type { Config } from '../config/config.ts';
import { notifyUrl } from '../config/payments.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Logger } from '../log.ts';
import type { PaymentProvider, Providers } from '../payments/provider.ts';
import { openWallet } from '../payments/wallet/wallet.ts';

/** The ways to be paid that are configured. Their libraries are loaded only where they are. */
export async function openProviders({
  config,
  ledger,
  log,
}: {
  config: Pick<Config, 'payments'>;
  ledger: Ledger;
  log: Logger;
}): Promise<Providers> {
  const { publicUrl, stripe, alipay, wechatPay } = config.payments;
  const wallet = openWallet({ database: ledger.database, accounts: ledger.accounts });
  const opened: PaymentProvider[] = [wallet];
  if (stripe) {
    const { openStripe } = await import('../payments/stripe/stripe.ts');
    const warn = (message: string) => log.warn({ provider: 'stripe' }, message);
    opened.push(openStripe({ ...stripe, returnUrl: publicUrl, warn }));
  }
  if (alipay) {
    const { openAlipay } = await import('../payments/alipay/alipay.ts');
    opened.push(openAlipay({ ...alipay, notifyUrl: notifyUrl(config.payments, 'alipay') }));
  }
  if (wechatPay) {
    const { openWechatPay } = await import('../payments/wechat-pay/wechat-pay.ts');
    const address = notifyUrl(config.payments, 'wechat_pay');
    const warn = (message: string) => log.warn({ provider: 'wechat_pay' }, message);
    opened.push(openWechatPay({ ...wechatPay, notifyUrl: address, warn }));
  }
  return new Map(opened.map((provider) => [provider.name, provider]));
}
