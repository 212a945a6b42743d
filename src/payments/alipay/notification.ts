import type { Notification, NotificationAnswer, RawNotification } from '../provider.ts';
import { fromChinaTime } from './china-time.ts';
import { fenOf } from './yuan.ts';

/** Alipay's own messages are about two kilobytes, with some thirty parameters. */
const bodyMax = 16 * 1024;
const parametersMax = 100;
/** Alipay repeats a message for 25 hours; its clock and ours may differ a little. */
const ageMaxMs = 26 * 3600_000;
const aheadMaxMs = 5 * 60_000;

const statuses = new Set(['WAIT_BUYER_PAY', 'TRADE_SUCCESS', 'TRADE_FINISHED', 'TRADE_CLOSED']);

type Merchant = {
  appId: string;
  sellerId: string;
  isSigned(parameters: ReadonlyMap<string, string>): boolean;
  now(): number;
};

/** Nothing is told from a message before its signature is found to be Alipay's. */
export function readMessage({ body }: RawNotification, merchant: Merchant): Notification {
  const form = parametersOf(body);
  if (form?.get('charset')?.toLowerCase() !== 'utf-8') return refused('malformed');
  if (!merchant.isSigned(form)) return refused('signature');
  if (form.get('app_id') !== merchant.appId || form.get('seller_id') !== merchant.sellerId) {
    return refused('other_merchant');
  }
  const sentAt = fromChinaTime(form.get('notify_time'));
  const id = form.get('notify_id');
  if (sentAt === undefined || !id || id.length > 128) return refused('malformed');
  const age = merchant.now() - sentAt;
  if (age > ageMaxMs || age < -aheadMaxMs) return refused('stale');
  return told(form, { id, sentAt });
}

function told(form: Map<string, string>, sent: { id: string; sentAt: number }): Notification {
  const [status, reference] = [form.get('trade_status') ?? '', form.get('out_trade_no')];
  if (!reference || !statuses.has(status)) {
    return { kind: 'ignored', about: form.get('notify_type') ?? '' };
  }
  const amount = fenOf(form.get('total_amount'));
  if (amount === undefined || reference.length > 64) return refused('malformed');
  // The sum of all that was given back; a trade that ran out has none.
  const refunded = form.get('gmt_refund') ? `, ${form.get('refund_fee')} yuan given back` : '';
  const about = `${status}${refunded}`.slice(0, 100);
  return { kind: 'told', ...sent, reference, amount, currency: 'CNY', about };
}

/** A body no larger than Alipay's and fit for the signature to be checked; a name is given once. */
function parametersOf(body: Buffer): Map<string, string> | undefined {
  if (body.length > bodyMax) return undefined;
  const form = new Map<string, string>();
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body);
    for (const pair of text.split('&', parametersMax + 1)) {
      const [name = '', ...value] = pair.split('=').map(decoded);
      if (!name || form.has(name) || form.size === parametersMax) return undefined;
      form.set(name, value.join('='));
    }
  } catch {
    return undefined;
  }
  return form;
}

/** Unlike URLSearchParams this throws for bytes that are no UTF-8, instead of replacing them. */
function decoded(part: string): string {
  return decodeURIComponent(part.replaceAll('+', ' '));
}

function refused(reason: 'malformed' | 'signature' | 'stale' | 'other_merchant'): Notification {
  return { kind: 'refused', reason };
}

/** Only these seven letters, and nothing else, end the repeats. */
export function answerMessage(verdict: 'taken' | 'refused' | 'unavailable'): NotificationAnswer {
  const contentType = 'text/plain';
  if (verdict === 'taken') return { status: 200, contentType, body: 'success' };
  return { status: verdict === 'refused' ? 400 : 503, contentType, body: 'fail' };
}
