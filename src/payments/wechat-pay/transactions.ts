import type { Charge, ClientAction, ClientWish, Outcome, PaymentRef } from '../provider.ts';
import type { Answer } from './client.ts';
import { amountOf, type Fields, textOf, within } from './json.ts';
import { beijingTime, currency, cut, type Merchant } from './merchant.ts';
import { pageParameters } from './signing.ts';

/** A QR code to scan, a page inside WeChat, and a page in another browser of a phone. */
export const scenes = ['native', 'jsapi', 'h5'] as const;
type Scene = (typeof scenes)[number];

/** Codes of the documents, without their underscores. */
const paid = ['ORDERPAID', 'ORDERISPAID'];
const closed = ['ORDERCLOSED', 'ORDERCLOSE'];
const unheardOf = ['ORDERNOTEXIST', 'ORDERNOTEXISTS', 'RESOURCENOTEXISTS'];

export function refuseWish(
  wish: ClientWish,
): { field: keyof ClientWish; reason: string } | undefined {
  const scene = sceneOf(wish);
  if (!scene) return { field: 'scene', reason: `must be one of ${scenes.join(', ')}` };
  if (scene === 'jsapi' && !/^[\w-]{1,128}$/.test(wish.openid ?? '')) {
    return { field: 'openid', reason: "is needed for jsapi: the buyer's openid under our app id" };
  }
  if (scene === 'h5' && !/^[\da-fA-F.:]{2,45}$/.test(wish.ip ?? '')) {
    return { field: 'ip', reason: "is needed for h5: the address of the buyer's phone" };
  }
  if (scene === 'h5' && wish.returnUrl && !isPage(wish.returnUrl)) {
    return { field: 'returnUrl', reason: 'must be an http or https URL' };
  }
  return undefined;
}

/** Places an order with WeChat Pay, or has it told again: the same request names the same order. */
export async function start(merchant: Merchant, charge: Charge): Promise<Outcome> {
  const { reference, amount } = charge;
  const scene = sceneOf(charge.wish);
  if (!scene || refuseWish(charge.wish) || charge.currency !== currency || amount < 1) {
    return { reference, kind: 'declined', reason: 'declined' };
  }
  // A new order would be payable for at least a minute, whatever end it was given.
  if (merchant.clock.now() >= charge.expiresAt) return await startedBefore(merchant, charge);
  const answer = await merchant.client.call({
    method: 'POST',
    path: `/v3/pay/transactions/${scene}`,
    body: {
      appid: merchant.appId,
      mchid: merchant.merchantId,
      description: descriptionOf(charge),
      out_trade_no: reference,
      time_expire: beijingTime(charge.expiresAt),
      notify_url: merchant.notifyUrl,
      amount: { total: amount, currency },
      ...(scene === 'jsapi' ? { payer: { openid: charge.wish.openid } } : {}),
      ...(scene === 'h5'
        ? { scene_info: { payer_client_ip: charge.wish.ip, h5_info: { type: 'Wap' } } }
        : {}),
    },
  });
  if (answer.kind === 'unknown') return { reference, kind: 'unknown' };
  if (answer.kind === 'done') {
    const action = await actionOf(merchant, { scene, fields: answer.fields, wish: charge.wish });
    return action ? { reference, kind: 'pending', action } : { reference, kind: 'unknown' };
  }
  if (closed.includes(answer.code)) return { reference, kind: 'declined', reason: 'closed' };
  if (!paid.includes(answer.code)) merchant.warn(refusalOf(reference, answer));
  // It refuses this request; an earlier one by the same reference may have come to something.
  const outcome = await lookUp(merchant, charge);
  return outcome.kind === 'none' ? { reference, kind: 'declined', reason: 'declined' } : outcome;
}

async function startedBefore(merchant: Merchant, charge: Charge): Promise<Outcome> {
  const outcome = await lookUp(merchant, charge);
  if (outcome.kind !== 'none') return outcome;
  return { reference: charge.reference, kind: 'declined', reason: 'closed' };
}

export async function lookUp(merchant: Merchant, { reference }: PaymentRef): Promise<Outcome> {
  const answer = await merchant.client.call({
    method: 'GET',
    path: `${pathOf(reference)}?mchid=${encodeURIComponent(merchant.merchantId)}`,
  });
  if (answer.kind === 'done') return stateOf(merchant, reference, answer.fields);
  if (answer.kind === 'unknown') return { reference, kind: 'unknown' };
  if (unheardOf.includes(answer.code)) return { reference, kind: 'none' };
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
  const isOver = answer.kind === 'done' || [...closed, ...unheardOf].includes(answer.code);
  if (isOver) return { reference, kind: 'declined', reason: 'closed' };
  const outcome = await lookUp(merchant, payment);
  if (outcome.kind === 'captured' || outcome.kind === 'declined') return outcome;
  if (outcome.kind === 'none') return { reference, kind: 'declined', reason: 'closed' };
  // Refused though it is open still: only another try can make sure.
  return { reference, kind: 'unknown' };
}

function stateOf(merchant: Merchant, reference: string, fields: Fields): Outcome {
  const appId = textOf(fields, 'appid') ?? merchant.appId;
  const isOurs = textOf(fields, 'mchid') === merchant.merchantId && appId === merchant.appId;
  if (!isOurs || textOf(fields, 'out_trade_no') !== reference)
    return { reference, kind: 'unknown' };
  const known = { reference, providerReference: textOf(fields, 'transaction_id') };
  switch (textOf(fields, 'trade_state')) {
    case 'SUCCESS':
    case 'REFUND': {
      const money = within(fields, 'amount');
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

async function actionOf(
  merchant: Merchant,
  told: { scene: Scene; fields: Fields; wish: ClientWish },
): Promise<ClientAction | undefined> {
  const { scene, fields, wish } = told;
  if (scene === 'native') {
    const text = textOf(fields, 'code_url');
    return text === undefined ? undefined : { kind: 'qr', text };
  }
  if (scene === 'jsapi') {
    const prepayId = textOf(fields, 'prepay_id');
    if (prepayId === undefined) return undefined;
    const parameters = await pageParameters(merchant, { prepayId, at: merchant.clock.now() });
    return { kind: 'sdk', parameters };
  }
  const url = textOf(fields, 'h5_url');
  if (url === undefined || !isPage(url)) return undefined;
  if (!wish.returnUrl) return { kind: 'redirect', url };
  const mark = url.includes('?') ? '&' : '?';
  const back = encodeURIComponent(wish.returnUrl);
  return { kind: 'redirect', url: `${url}${mark}redirect_url=${back}` };
}

/** What the buyer reads; without what would break a line of the bill, where it stands again. */
function descriptionOf({ title, orderId }: Charge): string {
  const line = title.replace(/[\p{Cc}`]+/gu, ' ').trim();
  // 127 characters; the documents do not say whether an emoji is one or two.
  return cut(line, 127, (character) => character.length) || orderId;
}

function sceneOf({ scene = scenes[0] }: ClientWish): Scene | undefined {
  return scenes.find((known) => known === scene);
}

function isPage(text: string): boolean {
  return ['http:', 'https:'].includes(URL.parse(text)?.protocol ?? '');
}

function pathOf(reference: string): string {
  return `/v3/pay/transactions/out-trade-no/${encodeURIComponent(reference)}`;
}

/** What WeChat Pay refused, for people. */
export function refusalOf(reference: string, answer: Answer & { kind: 'refused' }): string {
  return `WeChat Pay refused ${reference}: ${answer.status} ${answer.code} ${answer.message}`;
}
