import type { KeyPairKeyObjectResult } from 'node:crypto';
import { refundedOf } from '../book.ts';
import type { BookEvent, Forgery } from '../protocol.ts';
import { signed, signedText } from './signing.ts';
import { chinaTime, statusOf, yuan } from './trades.ts';

/** The application and the seller that a message is about. */
export type Merchant = { appId: string; sellerId: string };

type Sender = {
  merchant: Merchant;
  now: number;
  keys: { alipay: KeyPairKeyObjectResult; stranger: KeyPairKeyObjectResult };
};

const staleMs = 27 * 3600_000;

/** The form that is posted about an event, as https://opendocs.alipay.com/open/270/105902 has it. */
export function messageOf(event: BookEvent, sender: Sender, forge?: Forgery) {
  // Alipay's amounts are always yuan: there is no currency to falsify.
  if (forge === 'other_currency') return undefined;
  const { now, keys } = sender;
  const parameters = { ...parametersOf(event, sender), ...lies(event, now, forge) };
  const key = forge === 'signature' ? keys.stranger : keys.alipay;
  // Unlike in a request, neither `sign` nor `sign_type` is part of what is signed.
  const sign = signed(key.privateKey, signedText(Object.entries(parameters)));
  const sent = { ...parameters, sign_type: 'RSA2', sign };
  if (forge === 'reserialised') sent.total_amount = `${sent.total_amount}0`;
  return {
    headers: { 'content-type': 'application/x-www-form-urlencoded; charset=utf-8' },
    body: Buffer.from(new URLSearchParams(sent).toString()),
  };
}

function parametersOf(event: BookEvent, { merchant, now }: Sender) {
  const { charge, refund } = event;
  const amount = yuan(charge.amount);
  return {
    notify_time: chinaTime(now),
    notify_type: 'trade_status_sync',
    notify_id: event.id,
    charset: 'utf-8',
    version: '1.0',
    app_id: merchant.appId,
    auth_app_id: merchant.appId,
    seller_id: merchant.sellerId,
    trade_no: charge.providerReference,
    out_trade_no: charge.reference,
    trade_status: statusOf(charge, now),
    total_amount: amount,
    subject: charge.extra['subject'] ?? '',
    gmt_create: chinaTime(charge.createdAt),
    ...(charge.capturedAt !== undefined && {
      buyer_id: '2088101117955611',
      buyer_logon_id: '159****5620',
      buyer_pay_amount: amount,
      receipt_amount: amount,
      gmt_payment: chinaTime(charge.capturedAt),
      fund_bill_list: JSON.stringify([{ amount, fundChannel: 'ALIPAYACCOUNT' }]),
    }),
    ...(refund && {
      refund_fee: yuan(refundedOf(charge)),
      gmt_refund: chinaTime(refund.at),
      out_biz_no: refund.reference,
    }),
    ...((event.kind === 'closed' || event.kind === 'declined') && {
      gmt_close: chinaTime(event.at),
    }),
  };
}

/** What a forgery says instead, under a valid signature. */
function lies({ charge }: BookEvent, now: number, forge?: Forgery): Record<string, string> {
  switch (forge) {
    case 'stale':
      return { notify_time: chinaTime(now - staleMs) };
    case 'other_merchant':
      return { seller_id: '2088000000000002' };
    case 'other_amount':
      return { total_amount: yuan(charge.amount + 1) };
    case 'unknown_order':
      return { out_trade_no: `fd${'0'.repeat(30)}` };
    case 'oversized':
      return { body: 'x'.repeat(300_000) };
    default:
      return {};
  }
}
