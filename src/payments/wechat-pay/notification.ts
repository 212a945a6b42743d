import type { Notification, NotificationAnswer, RawNotification } from '../provider.ts';
import type { Certificates } from './certificates.ts';
import { amountOf, type Fields, parsedFields, textOf, within } from './json.ts';
import { currency, type Merchant } from './merchant.ts';
import { isFresh, signedAt, signedOf, unseal } from './signing.ts';

const bodyBytesMax = 64 * 1024;
const malformed = { kind: 'refused', reason: 'malformed' } as const;

/** Reads a message about a payment or a refund. Never throws for what was sent. */
export async function readNotification(
  raw: RawNotification,
  by: { merchant: Merchant; certificates: Certificates; apiKey: string },
): Promise<Notification> {
  const { merchant, certificates, apiKey } = by;
  if (raw.body.length > bodyBytesMax) return malformed;
  const signed = signedOf((name) => raw.headers[name], raw.body);
  const at = signed && signedAt(signed);
  if (!signed || at === undefined) return malformed;
  if (!isFresh(signed, merchant.clock.now())) return { kind: 'refused', reason: 'stale' };
  if (!(await certificates.trusts(signed))) return { kind: 'refused', reason: 'signature' };

  const message = parsedFields(raw.body.toString());
  const about = message && textOf(message, 'event_type');
  const id = message && textOf(message, 'id');
  if (!message || !about || !id || id.length > 64 || about.length > 64) return malformed;
  const isRefund = about.startsWith('REFUND.');
  if (!isRefund && !about.startsWith('TRANSACTION.')) return { kind: 'ignored', about };

  const content = contentOf(message, apiKey);
  if (!content) {
    merchant.warn(`WeChat Pay sent ${about} sealed under another APIv3 key than ours`);
    return malformed;
  }
  // A refund's message does not name the app.
  const appId = isRefund ? merchant.appId : textOf(content, 'appid');
  if (textOf(content, 'mchid') !== merchant.merchantId || appId !== merchant.appId) {
    return { kind: 'refused', reason: 'other_merchant' };
  }
  const reference = textOf(content, 'out_trade_no');
  if (!reference || reference.length > 32) return malformed;
  const money = within(content, 'amount');
  return {
    kind: 'told',
    id,
    reference,
    sentAt: at,
    amount: amountOf(money, 'total'),
    currency: textOf(money, 'currency') ?? currency,
    about,
  };
}

/** 200 or 204 ends the repeats; another status and a reason make WeChat Pay send it again. */
export function answerNotification(
  verdict: 'taken' | 'refused' | 'unavailable',
): NotificationAnswer {
  if (verdict === 'taken') return { status: 204, body: '' };
  const status = verdict === 'refused' ? 401 : 503;
  const body = JSON.stringify({ code: 'FAIL', message: verdict });
  return { status, contentType: 'application/json', body };
}

function contentOf(message: Fields, apiKey: string): Fields | undefined {
  const resource = within(message, 'resource');
  const ciphertext = textOf(resource, 'ciphertext');
  const nonce = textOf(resource, 'nonce');
  if (!ciphertext || !nonce || textOf(resource, 'algorithm') !== 'AEAD_AES_256_GCM') {
    return undefined;
  }
  try {
    const associatedData = textOf(resource, 'associated_data') ?? '';
    return parsedFields(unseal({ ciphertext, nonce, associatedData }, apiKey));
  } catch {
    return undefined;
  }
}
