import { createPrivateKey } from 'node:crypto';
import { type Clock, systemClock } from '../../domain/clock.ts';
import { seldom } from '../log-throttle.ts';
import type { PaymentProvider } from '../provider.ts';
import { bill, billedUntil } from './bill.ts';
import { openCertificates } from './certificates.ts';
import { openClient } from './client.ts';
import { openExchange } from './exchange.ts';
import { currency, type Merchant } from './merchant.ts';
import { answerNotification, readNotification } from './notification.ts';
import { refund } from './refunds.ts';
import { close, lookUp, refuseWish, scenes, start } from './transactions.ts';

export type WechatPayOptions = {
  appId: string;
  merchantId: string;
  /** Serial number of the merchant's certificate. */
  serial: string;
  /** PEM; signs our requests. */
  privateKey: string;
  /** The APIv3 key: 32 bytes, under which WeChat Pay seals what it sends. */
  apiKey: string;
  /** WeChat Pay's public key, of a merchant who has one in place of platform certificates. */
  publicKey?: { id: string; pem: string } | undefined;
  /** Where the API is. */
  url: string;
  /** Where WeChat Pay sends its messages. */
  notifyUrl: string;
  /** How long an answer is waited for. */
  timeoutMs?: number;
  clock?: Clock;
  /** Told what WeChat Pay refused or failed to say. */
  warn?: (message: string) => void;
};

/**
 * WeChat Pay, API v3: the buyer pays in WeChat, from a QR code, on a page inside WeChat or from a
 * phone's browser. The order's number there is our reference, which makes every call repeatable.
 */
export function openWechatPay(options: WechatPayOptions): PaymentProvider {
  const { appId, merchantId, apiKey, publicKey, clock = systemClock } = options;
  const warn = seldom(options.warn ?? (() => {}), clock);
  const privateKey = createPrivateKey(options.privateKey);
  const exchange = openExchange({
    url: options.url,
    signer: { merchantId, serial: options.serial, privateKey },
    publicKeyId: publicKey?.id,
    timeoutMs: options.timeoutMs ?? 5_000,
    clock,
  });
  const certificates = openCertificates({ exchange, apiKey, publicKey, clock });
  const client = openClient({ exchange, certificates, clock, warn });
  const { notifyUrl } = options;
  const merchant: Merchant = { appId, merchantId, privateKey, notifyUrl, client, clock, warn };

  return {
    name: 'wechat_pay',
    startedBy: 'buyer',
    takes: (wanted) => wanted === currency,
    scenes,
    refuseWish,
    start: (charges) => each(charges, (charge) => start(merchant, charge)),
    lookUp: (payments) => each(payments, (payment) => lookUp(merchant, payment)),
    close: (payments) => each(payments, (payment) => close(merchant, payment)),
    refund: (refunds) => each(refunds, (wanted) => refund(merchant, wanted)),
    readNotification: (raw) => readNotification(raw, { merchant, certificates, apiKey }),
    answerNotification,
    bill: (window) => bill({ merchant, exchange }, window),
    billedUntil,
  };
}

/** WeChat Pay takes one at a time; the exchange bounds how many are under way. */
async function each<In, Out>(items: readonly In[], call: (item: In) => Promise<Out>) {
  return await Promise.all(items.map(call));
}
