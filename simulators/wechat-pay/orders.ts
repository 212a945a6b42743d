import { createHash } from 'node:crypto';
import type { BookedCharge, BookedRefund, Simulator } from '../protocol.ts';
import { type Agreement, ApiError, beijingTime } from './wire.ts';

/** A parsed request body, not validated yet. */
export type Fields = Record<string, unknown>;

const tradeTypes: Record<string, string> = { native: 'NATIVE', jsapi: 'JSAPI', h5: 'MWEB' };
const payableMsLeast = 60_000;
const payableMsUsual = 2 * 3_600_000;

/** Creates an order, or returns the one that the same request created before. */
export function placeOrder(
  simulator: Simulator,
  agreement: Agreement,
  { scene, body }: { scene: string; body: Fields },
): BookedCharge {
  const { reference, amount, notifyUrl, expiresAt } = readOrder(agreement, scene, body);
  const request = createHash('sha256')
    .update(`${scene} ${JSON.stringify(body)}`)
    .digest('hex');
  const known = simulator.book.find(reference);
  if (known?.state === 'captured') throw new ApiError(400, 'ORDERPAID', 'The order is paid.');
  if (known && known.state !== 'open') {
    throw new ApiError(400, 'ORDER_CLOSED', 'The order is closed.');
  }
  if (known && known.extra['request'] !== request) {
    throw new ApiError(400, 'INVALID_REQUEST', 'The same order was placed with other parameters.');
  }
  if (known) return known;
  const now = simulator.now();
  return simulator.book.open({
    reference,
    amount,
    currency: 'CNY',
    notifyUrl,
    // WeChat Pay moves an expiry that is too near, as its documentation says.
    expiresAt: Math.max(expiresAt ?? now + payableMsUsual, now + payableMsLeast),
    extra: {
      request,
      tradeType: tradeTypes[scene] ?? '',
      title: String(body['description']),
      prepayId: simulator.id('wx', 34, '0123456789abcdef'),
    },
  }).charge;
}

function readOrder({ appId, merchantId }: Agreement, scene: string, body: Fields) {
  if (body['mchid'] !== merchantId) throw wrong('mchid', 'is not who signed');
  if (body['appid'] !== appId) {
    throw new ApiError(400, 'APPID_MCHID_NOT_MATCH', 'The app is not bound to the merchant.');
  }
  const reference = text(body, 'out_trade_no', /^[\w\-|*]{6,32}$/);
  text(body, 'description', /^.{1,127}$/su);
  const notifyUrl = text(body, 'notify_url', /^https?:\/\/[^?\s]{1,240}$/);
  const money = part(body, 'amount');
  const amount = money['total'];
  if (!Number.isSafeInteger(amount) || (amount as number) < 1) {
    throw wrong('amount.total', 'must be a whole number of fen from 1');
  }
  if ((money['currency'] ?? 'CNY') !== 'CNY') throw wrong('amount.currency', 'must be CNY');
  if (scene === 'jsapi') text(part(body, 'payer'), 'openid', /^[\w-]{1,128}$/);
  if (scene === 'h5') {
    const place = part(body, 'scene_info');
    text(place, 'payer_client_ip', /^[\da-fA-F.:]{2,45}$/);
    text(part(place, 'h5_info'), 'type', /^\w{1,32}$/);
  }
  const expiresAt = body['time_expire'] === undefined ? undefined : readTime(body);
  return { reference, amount: amount as number, notifyUrl, expiresAt };
}

function readTime(body: Fields): number {
  return Date.parse(text(body, 'time_expire', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)$/));
}

/** The answer to an order query. */
export function orderAnswer(charge: BookedCharge, { appId, merchantId }: Agreement): object {
  const { reference, amount, currency, capturedAt, extra } = charge;
  return {
    appid: appId,
    mchid: merchantId,
    out_trade_no: reference,
    trade_state: tradeState(charge),
    trade_state_desc: charge.state,
    attach: '',
    ...(capturedAt === undefined
      ? {}
      : {
          transaction_id: charge.providerReference,
          trade_type: extra['tradeType'],
          bank_type: 'OTHERS',
          success_time: beijingTime(capturedAt),
          payer: { openid: 'oSimulated' },
        }),
    amount: { total: amount, payer_total: amount, currency, payer_currency: currency },
  };
}

function tradeState({ state, refunds }: BookedCharge): string {
  if (state === 'captured') return refunds.length > 0 ? 'REFUND' : 'SUCCESS';
  return { open: 'NOTPAY', closed: 'CLOSED', declined: 'PAYERROR' }[state];
}

/** Refunds; the same request again returns the same refund. */
export function giveBack(
  { book }: Simulator,
  { body, reference }: { body: Fields; reference: string | undefined },
): { charge: BookedCharge; refund: BookedRefund; fresh: boolean } {
  const number = text(body, 'out_refund_no', /^[\w\-|*@]{1,64}$/);
  if (body['reason'] !== undefined && Buffer.byteLength(String(body['reason'])) > 80) {
    throw wrong('reason', 'is longer than 80 bytes');
  }
  const money = part(body, 'amount');
  const { refund: amount, total } = money;
  if (!Number.isSafeInteger(amount) || (amount as number) < 1) {
    throw wrong('amount.refund', 'must be a whole number of fen from 1');
  }
  if (money['currency'] !== 'CNY') throw wrong('amount.currency', 'must be CNY');
  const charge = reference === undefined ? undefined : book.find(reference);
  if (!charge || reference === undefined) {
    throw new ApiError(404, 'RESOURCE_NOT_EXISTS', 'There is no such order.');
  }
  if (total !== charge.amount) throw wrong('amount.total', 'is not what was paid');
  const done = book.refund(reference, { reference: number, amount: amount as number });
  switch (done.kind) {
    case 'refunded':
    case 'already':
      return { charge, refund: done.refund, fresh: done.kind === 'refunded' };
    case 'none':
      throw new ApiError(400, 'INVALID_REQUEST', 'The order is not paid.');
    case 'exceeds':
      throw new ApiError(400, 'INVALID_REQUEST', 'More than what is left of the payment.');
    case 'reused':
      throw new ApiError(400, 'PARAM_ERROR', 'The number is that of another refund.');
  }
}

/** The answer to a refund: processing at first, successful when it is asked for again. */
export function refundAnswer(charge: BookedCharge, refund: BookedRefund, fresh: boolean): object {
  return {
    refund_id: refund.providerReference,
    out_refund_no: refund.reference,
    transaction_id: charge.providerReference,
    out_trade_no: charge.reference,
    channel: 'ORIGINAL',
    user_received_account: '支付用户零钱',
    create_time: beijingTime(refund.at),
    ...(fresh ? {} : { success_time: beijingTime(refund.at) }),
    status: fresh ? 'PROCESSING' : refund.failed ? 'ABNORMAL' : 'SUCCESS',
    amount: {
      total: charge.amount,
      refund: refund.amount,
      payer_total: charge.amount,
      payer_refund: refund.amount,
      currency: charge.currency,
    },
  };
}

function part(fields: Fields, name: string): Fields {
  const value = fields[name];
  if (typeof value !== 'object' || value === null) throw wrong(name, 'is missing');
  return value as Fields;
}

function text(fields: Fields, name: string, pattern: RegExp): string {
  const value = fields[name];
  if (typeof value !== 'string' || !pattern.test(value)) throw wrong(name, 'is missing or wrong');
  return value;
}

export function wrong(field: string, what: string): ApiError {
  return new ApiError(400, 'PARAM_ERROR', `${field} ${what}.`);
}
