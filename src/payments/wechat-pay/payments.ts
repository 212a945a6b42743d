import type { PaymentReference } from '../../domain/ids.ts';
import { amountOf, type Fields, fieldsOf, textOf } from '../json.ts';
import type { Charge, Outcome, PaymentRef } from '../provider.ts';
import { actionOf } from './action.ts';
import type { Answer, ApiRequest } from './client.ts';
import type { Merchant } from './merchant.ts';
import { currency } from './money.ts';
import { cut } from './text.ts';
import { beijingTime } from './time.ts';
import { refuseWish, type Scene, sceneOf } from './wish.ts';

/** Refusal codes by meaning, without their underscores, which WeChat Pay's documents write or leave out. */
const paid = ['ORDERPAID', 'ORDERISPAID'];
const closed = ['ORDERCLOSED', 'ORDERCLOSE'];
const notFound = ['ORDERNOTEXIST', 'ORDERNOTEXISTS', 'RESOURCENOTEXISTS'];

/** Places an order with WeChat Pay; repeating the request gives the same order. */
export async function start(merchant: Merchant, charge: Charge): Promise<Outcome> {
  const { reference, amount } = charge;
  const scene = sceneOf(charge.wish);
  if (!scene || refuseWish(charge.wish) || charge.currency !== currency || amount < 1) {
    return { reference, kind: 'declined', reason: 'declined' };
  }
  // WeChat Pay gives a new order at least a minute, so after the end none may be placed.
  if (merchant.clock.now() >= charge.expiresAt) return await lookUpOr(merchant, charge, 'closed');
  const answer = await merchant.client.call(orderRequest(merchant, charge, scene));
  if (answer.kind === 'unknown') return { reference, kind: 'unknown' };
  if (answer.kind === 'done') {
    const action = await actionOf(merchant, { scene, wish: charge.wish, fields: answer.fields });
    return action ? { reference, kind: 'pending', action } : { reference, kind: 'unknown' };
  }
  if (closed.includes(answer.code)) return { reference, kind: 'declined', reason: 'closed' };
  if (!paid.includes(answer.code)) merchant.warn(refusalOf(reference, answer));
  // This request was refused, but an earlier one under the same reference may have succeeded.
  return await lookUpOr(merchant, charge, 'declined');
}

function orderRequest(merchant: Merchant, charge: Charge, scene: Scene): ApiRequest {
  const { openid, ip } = charge.wish;
  return {
    method: 'POST',
    path: `/v3/pay/transactions/${scene}`,
    body: {
      appid: merchant.appId,
      mchid: merchant.merchantId,
      description: descriptionOf(charge),
      out_trade_no: charge.reference,
      time_expire: beijingTime(charge.expiresAt),
      notify_url: merchant.notifyUrl,
      amount: { total: charge.amount, currency },
      payer: scene === 'jsapi' ? { openid } : undefined,
      scene_info: scene === 'h5' ? { payer_client_ip: ip, h5_info: { type: 'Wap' } } : undefined,
    },
  };
}

/** The outcome of what was begun under the reference before; declined where nothing was. */
async function lookUpOr(
  merchant: Merchant,
  payment: PaymentRef,
  reason: 'closed' | 'declined',
): Promise<Outcome> {
  const outcome = await lookUp(merchant, payment);
  if (outcome.kind !== 'none') return outcome;
  return { reference: payment.reference, kind: 'declined', reason };
}

export async function lookUp(merchant: Merchant, { reference }: PaymentRef): Promise<Outcome> {
  const answer = await merchant.client.call({
    method: 'GET',
    path: `${pathOf(reference)}?mchid=${encodeURIComponent(merchant.merchantId)}`,
  });
  if (answer.kind === 'done') return outcomeOf(merchant, reference, answer.fields);
  if (answer.kind === 'unknown') return { reference, kind: 'unknown' };
  if (notFound.includes(answer.code)) return { reference, kind: 'none' };
  if (closed.includes(answer.code)) return { reference, kind: 'declined', reason: 'closed' };
  merchant.warn(refusalOf(reference, answer));
  return { reference, kind: 'unknown' };
}

export async function close(merchant: Merchant, payment: PaymentRef): Promise<Outcome> {
  const { reference } = payment;
  const answer = await merchant.client.call({
    method: 'POST',
    path: `${pathOf(reference)}/close`,
    body: { mchid: merchant.merchantId },
  });
  if (answer.kind === 'unknown') return { reference, kind: 'unknown' };
  const isOver = answer.kind === 'done' || [...closed, ...notFound].includes(answer.code);
  if (isOver) return { reference, kind: 'declined', reason: 'closed' };
  // It was paid, or has to be closed again: the order itself says which.
  return await lookUpOr(merchant, payment, 'closed');
}

function outcomeOf(merchant: Merchant, reference: PaymentReference, fields: Fields): Outcome {
  const appId = textOf(fields, 'appid') ?? merchant.appId;
  const isOurs = textOf(fields, 'mchid') === merchant.merchantId && appId === merchant.appId;
  if (!isOurs || textOf(fields, 'out_trade_no') !== reference) {
    return { reference, kind: 'unknown' };
  }
  const known = { reference, providerReference: textOf(fields, 'transaction_id') };
  switch (textOf(fields, 'trade_state')) {
    case 'SUCCESS':
    case 'REFUND': {
      const money = fieldsOf(fields, 'amount');
      const amount = amountOf(money, 'total');
      if (amount === undefined) return { ...known, kind: 'unknown' };
      return {
        ...known,
        kind: 'captured',
        amount,
        currency: textOf(money, 'currency') ?? currency,
      };
    }
    case 'NOTPAY':
    case 'USERPAYING':
    case 'ACCEPT':
      return { ...known, kind: 'pending' };
    case 'CLOSED':
    case 'REVOKED':
      return { ...known, kind: 'declined', reason: 'closed' };
    case 'PAYERROR':
      return { ...known, kind: 'declined', reason: 'declined' };
    default:
      return { ...known, kind: 'unknown' };
  }
}

/** What the buyer reads. Control characters and grave accents would break its line in the bill. */
function descriptionOf({ title, orderId }: Charge): string {
  const line = title.replace(/[\p{Cc}`]+/gu, ' ').trim();
  // 127 characters; the documents do not say whether an emoji is one or two.
  return cut(line, 127, (character) => character.length) || orderId;
}

function pathOf(reference: string): string {
  return `/v3/pay/transactions/out-trade-no/${encodeURIComponent(reference)}`;
}

/** A refusal as a log line. */
export function refusalOf(reference: string, answer: Answer & { kind: 'refused' }): string {
  return `WeChat Pay refused ${reference}: ${answer.status} ${answer.code} ${answer.message}`;
}
