import { createPrivateKey } from 'node:crypto';
import { type Clock, systemClock } from '../../domain/clock.ts';
import { answerEach } from '../concurrency.ts';
import { throttleLog } from '../log-throttle.ts';
import {
  type Outcome,
  type PaymentProvider,
  type PaymentRef,
  unknownOutcome,
  unknownRefund,
} from '../provider.ts';
import { bill, billedUntil } from './bill.ts';
import { openCertificates } from './certificates.ts';
import { openClient } from './client.ts';
import { openHttp } from './http.ts';
import type { Merchant } from './merchant.ts';
import { currency } from './money.ts';
import { answerNotification, readNotification } from './notification.ts';
import { close, lookUp, start } from './payments.ts';
import { lookUpRefund, refund } from './refunds.ts';
import { refuseWish, scenes } from './wish.ts';

export type WechatPayOptions = {
  appId: string;
  merchantId: string;
  /** Serial number of the merchant's certificate. */
  serial: string;
  /** PEM; signs our requests. */
  privateKey: string;
  /** The APIv3 key: 32 bytes, under which WeChat Pay encrypts what it sends. */
  apiKey: string;
  /** WeChat Pay's public key, for merchants who have one instead of platform certificates. */
  publicKey?: { id: string; pem: string } | undefined;
  /** The address of the API. */
  url: string;
  /** Our address for WeChat Pay's notifications. */
  notifyUrl: string;
  /** The time limit of a call, ms. */
  timeoutMs?: number;
  clock?: Clock;
  /** Called with what WeChat Pay refused or failed to answer, at most once a second. */
  warn?: (message: string) => void;
};

/**
 * WeChat Pay, API v3: the buyer pays in WeChat, from a QR code, on a page inside WeChat or from a
 * phone's browser. The order's number there is our reference, which makes every call repeatable.
 */
export function openWechatPay(options: WechatPayOptions): PaymentProvider {
  const { appId, merchantId, apiKey, publicKey, clock = systemClock } = options;
  const warn = throttleLog(options.warn ?? (() => {}), clock);
  const privateKey = createPrivateKey(options.privateKey);
  const http = openHttp({
    url: options.url,
    signer: { merchantId, serial: options.serial, privateKey },
    publicKeyId: publicKey?.id,
    timeoutMs: options.timeoutMs ?? 5_000,
    clock,
  });
  const certificates = openCertificates({ http, apiKey, publicKey, clock });
  const client = openClient({ http, certificates, clock, warn });
  const { notifyUrl } = options;
  const merchant: Merchant = { appId, merchantId, privateKey, notifyUrl, client, clock, warn };

  return {
    name: 'wechat_pay',
    startedBy: 'buyer',
    takes: (wanted, amount = 1) => wanted === currency && amount >= 1,
    scenes,
    refuseWish,
    start: (charges) => each(charges, (charge) => start(merchant, charge)),
    lookUp: (payments) => each(payments, (payment) => lookUp(merchant, payment)),
    close: (payments) => each(payments, (payment) => close(merchant, payment)),
    refund: (refunds) =>
      answerEach(refunds, refunds.length, {
        answer: (wanted) => refund(merchant, wanted),
        unknown: unknownRefund,
      }),
    lookUpRefunds: (refunds) =>
      answerEach(refunds, refunds.length, {
        answer: (wanted) => lookUpRefund(merchant, wanted),
        unknown: unknownRefund,
      }),
    readNotification: (raw) => readNotification(raw, { merchant, certificates, apiKey }),
    answerNotification,
    bill: (window) => bill({ merchant, http }, window),
    billedUntil,
  };
}

/** WeChat Pay has no batches; `http` limits how many requests are under way. */
function each<T extends PaymentRef>(items: readonly T[], answer: (item: T) => Promise<Outcome>) {
  return answerEach(items, items.length, { answer, unknown: unknownOutcome });
}
