import type { BookEvent, Forgery } from '../protocol.ts';
import type { Identity } from './certificate.ts';
import { type Agreement, beijingTime, seal, signedHeaders } from './wire.ts';

const staleMs = 600_000;
const oversizedBytes = 1_500_000;

/** The notification of an event; WeChat Pay sends none for an order that failed or was closed. */
export function messageOf(
  event: BookEvent,
  agreement: Agreement,
  { forge, stranger }: { forge?: Forgery | undefined; stranger: Identity },
): { headers: Record<string, string>; body: Buffer } | undefined {
  const isRefund = event.kind === 'refunded' || event.kind === 'refund_changed';
  if (event.kind !== 'captured' && !isRefund) return undefined;
  const content = forged(isRefund ? refundContent(event) : paymentContent(event), forge);
  const about = isRefund ? 'refund' : 'transaction';
  const whose = {
    mchid: forge === 'other_merchant' ? '1900000001' : agreement.merchantId,
    ...(isRefund ? {} : { appid: agreement.appId }),
  };
  const sealed = seal(JSON.stringify({ ...whose, ...content }), {
    apiKey: agreement.apiKey,
    associatedData: about,
  });
  const message = {
    id: event.id,
    create_time: beijingTime(event.at),
    resource_type: 'encrypt-resource',
    event_type: isRefund ? `REFUND.${refundState(event)}` : 'TRANSACTION.SUCCESS',
    summary:
      forge === 'oversized' ? 'x'.repeat(oversizedBytes) : isRefund ? '退款成功' : '支付成功',
    resource: { original_type: about, ...sealed },
  };
  const text = JSON.stringify(message);
  const signer =
    forge === 'signature' ? { ...stranger, serial: agreement.platform.serial } : agreement.platform;
  const at = forge === 'stale' ? Date.now() - staleMs : Date.now();
  const headers = { ...signedHeaders(signer, text, at), 'content-type': 'application/json' };
  const sent = forge === 'reserialised' ? JSON.stringify(message, null, 1) : text;
  return { headers, body: Buffer.from(sent) };
}

type Content = { out_trade_no: string; amount: Record<string, unknown> };

function paymentContent({ charge }: BookEvent): Content {
  const { amount, currency } = charge;
  return {
    out_trade_no: charge.reference,
    ...{
      transaction_id: charge.providerReference,
      trade_type: charge.extra['tradeType'] ?? 'NATIVE',
      trade_state: 'SUCCESS',
      trade_state_desc: '支付成功',
      bank_type: 'OTHERS',
      attach: '',
      success_time: beijingTime(charge.capturedAt ?? charge.createdAt),
      payer: { openid: 'oSimulated' },
    },
    amount: { total: amount, payer_total: amount, currency, payer_currency: currency },
  };
}

function refundState({ refund }: BookEvent): string {
  return refund?.failed ? 'ABNORMAL' : 'SUCCESS';
}

function refundContent(event: BookEvent): Content {
  const { charge, refund } = event;
  const amount = refund?.amount ?? 0;
  return {
    out_trade_no: charge.reference,
    ...{
      transaction_id: charge.providerReference,
      out_refund_no: refund?.reference,
      refund_id: refund?.providerReference,
      refund_status: refundState(event),
      success_time: beijingTime(refund?.at ?? charge.createdAt),
      user_received_account: '支付用户零钱',
    },
    amount: {
      total: charge.amount,
      refund: amount,
      payer_total: charge.amount,
      payer_refund: amount,
    },
  };
}

function forged(content: Content, forge: Forgery | undefined): Content {
  const { amount } = content;
  if (forge === 'other_amount') {
    return { ...content, amount: { ...amount, total: Number(amount['total']) + 1 } };
  }
  if (forge === 'other_currency') return { ...content, amount: { ...amount, currency: 'USD' } };
  if (forge === 'unknown_order') return { ...content, out_trade_no: `fd${'0'.repeat(30)}` };
  return content;
}
