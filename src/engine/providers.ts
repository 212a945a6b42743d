import type { Config } from '../config/config.ts';
import { notifyUrl } from '../config/payments.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Logger } from '../log.ts';
import { alipayOffer } from '../payments/alipay/offer.ts';
import { openOnFirstUse } from '../payments/on-first-use.ts';
import type { PaymentProvider, Providers } from '../payments/provider.ts';
import { stripeOffer } from '../payments/stripe/offer.ts';
import { openWallet } from '../payments/wallet/wallet.ts';

type Options = { config: Pick<Config, 'payments' | 'simulators'>; ledger: Ledger; log: Logger };

/**
 * Opens the configured payment providers. Their libraries are loaded now, so that no buyer waits for
 * them. With simulated providers they load at the first call, as most demos never call them.
 */
export async function openProviders({ config, ledger, log }: Options): Promise<Providers> {
  const { payments, simulators } = config;
  const { stripe, alipay, wechatPay } = payments;
  const wallet = openWallet({ database: ledger.database, accounts: ledger.accounts });
  const opened: PaymentProvider[] = [wallet];
  const add = async (provider: Parameters<typeof openOnFirstUse>[0]) => {
    opened.push(simulators ? openOnFirstUse(provider) : await provider.open());
  };
  const warn = (provider: string) => (message: string) => log.warn({ provider }, message);

  if (stripe) {
    await add({
      offer: stripeOffer,
      hasBill: true,
      async open() {
        const { openStripe } = await import('../payments/stripe/stripe.ts');
        return openStripe({ ...stripe, returnUrl: payments.publicUrl, warn: warn('stripe') });
      },
    });
  }
  if (alipay) {
    await add({
      offer: alipayOffer,
      hasBill: false,
      async open() {
        const { openAlipay } = await import('../payments/alipay/alipay.ts');
        return openAlipay({ ...alipay, notifyUrl: notifyUrl(payments, 'alipay') });
      },
    });
  }
  if (wechatPay) {
    const { openWechatPay } = await import('../payments/wechat-pay/wechat-pay.ts');
    const url = notifyUrl(payments, 'wechat_pay');
    opened.push(openWechatPay({ ...wechatPay, notifyUrl: url, warn: warn('wechat_pay') }));
  }
  return new Map(opened.map((provider) => [provider.name, provider]));
}
