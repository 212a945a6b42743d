import { amountOf, type Fields, fieldsOf, parseFields, textOf } from '../json.ts';
import type {
  Notification,
  NotificationAnswer,
  NotificationVerdict,
  RawNotification,
} from '../provider.ts';
import type { Certificates } from './certificates.ts';
import type { Merchant } from './merchant.ts';
import { currency } from './money.ts';
import { decrypt, isFresh, signedAt, signedOf } from './signing.ts';

const bodyBytesMax = 64 * 1024;
const malformed = { kind: 'refused', reason: 'malformed' } as const;

/** Verifies a notification about a payment or a refund and reads it. Never throws for what was sent. */
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

  const message = parseFields(raw.body.toString());
  const about = message && textOf(message, 'event_type');
  const id = message && textOf(message, 'id');
  if (!message || !about || !id || id.length > 64 || about.length > 64) return malformed;
  const isRefund = about.startsWith('REFUND.');
  if (!isRefund && !about.startsWith('TRANSACTION.')) return { kind: 'ignored', about };

  const content = decrypted(message, apiKey);
  if (!content) {
    merchant.warn(`WeChat Pay sent ${about} encrypted under another APIv3 key than ours`);
    return malformed;
  }
  return contentOf(content, { id, about, isRefund, sentAt: at, merchant });
}

/** The notification of what WeChat Pay encrypted in it, once its signature is verified. */
function contentOf(
  content: Fields,
  sent: { id: string; about: string; isRefund: boolean; sentAt: number; merchant: Merchant },
): Notification {
  const { id, about, isRefund, sentAt, merchant } = sent;
  // Notifications of refunds do not name the app.
  const appId = isRefund ? merchant.appId : textOf(content, 'appid');
  if (textOf(content, 'mchid') !== merchant.merchantId || appId !== merchant.appId) {
    return { kind: 'refused', reason: 'other_merchant' };
  }
  const reference = textOf(content, 'out_trade_no');
  if (!reference || reference.length > 32) return malformed;
  const money = fieldsOf(content, 'amount');
  return {
    kind: 'verified',
    id,
    reference,
    sentAt,
    amount: amountOf(money, 'total'),
    currency: textOf(money, 'currency') ?? currency,
    about,
  };
}

/** 200 or 204 ends the repeats; any other status makes WeChat Pay send the notification again. */
export function answerNotification(verdict: NotificationVerdict): NotificationAnswer {
  if (verdict === 'taken') return { status: 204, body: '' };
  const status = verdict === 'refused' ? 401 : 503;
  const body = JSON.stringify({ code: 'FAIL', message: verdict });
  return { status, contentType: 'application/json', body };
}

function decrypted(message: Fields, apiKey: string): Fields | undefined {
  const resource = fieldsOf(message, 'resource');
  const ciphertext = textOf(resource, 'ciphertext');
  const nonce = textOf(resource, 'nonce');
  if (!ciphertext || !nonce || textOf(resource, 'algorithm') !== 'AEAD_AES_256_GCM') {
    return undefined;
  }
  try {
    const associatedData = textOf(resource, 'associated_data') ?? '';
    return parseFields(decrypt({ ciphertext, nonce, associatedData }, apiKey));
  } catch {
    return undefined;
  }
}
