import type {
  Notification,
  NotificationAnswer,
  NotificationVerdict,
  RawNotification,
} from '../provider.ts';
import { fenOf } from './money.ts';
import { fromChinaTime } from './time.ts';

/** Alipay's own notifications have about 2 kB and thirty parameters. */
const bodyBytesMax = 16 * 1024;
const parametersMax = 100;
/** Alipay repeats a notification for 25 hours; its clock and ours may differ by minutes. */
const ageMaxMs = 26 * 3600_000;
const aheadMaxMs = 5 * 60_000;

const statuses = new Set(['WAIT_BUYER_PAY', 'TRADE_SUCCESS', 'TRADE_FINISHED', 'TRADE_CLOSED']);

type Merchant = {
  appId: string;
  sellerId: string;
  /** Whether Alipay signed these parameters. */
  isSigned(parameters: ReadonlyMap<string, string>): boolean;
  /** Ms since the epoch. */
  now(): number;
};

/** Verifies a notification, then reads it: nothing is taken from one that Alipay did not sign. */
export function readNotification({ body }: RawNotification, merchant: Merchant): Notification {
  const form = parametersOf(body);
  if (form?.get('charset')?.toLowerCase() !== 'utf-8') return refused('malformed');
  if (!merchant.isSigned(form)) return refused('signature');
  // Messages that are not about a trade have neither its fields nor a seller.
  if (form.get('app_id') === merchant.appId && !form.has('trade_status')) {
    return { kind: 'ignored', about: aboutOf(form) };
  }
  if (form.get('app_id') !== merchant.appId || form.get('seller_id') !== merchant.sellerId) {
    return refused('other_merchant');
  }
  const sentAt = fromChinaTime(form.get('notify_time'));
  const id = form.get('notify_id');
  if (sentAt === undefined || !id || id.length > 128) return refused('malformed');
  const age = merchant.now() - sentAt;
  if (age > ageMaxMs || age < -aheadMaxMs) return refused('stale');
  return contentOf(form, { id, sentAt });
}

function contentOf(form: Map<string, string>, sent: { id: string; sentAt: number }): Notification {
  const status = form.get('trade_status') ?? '';
  const reference = form.get('out_trade_no');
  if (!reference || !statuses.has(status)) {
    return { kind: 'ignored', about: aboutOf(form) };
  }
  const amount = fenOf(form.get('total_amount'));
  if (amount === undefined || reference.length > 64) return refused('malformed');
  // `refund_fee` is the sum of all refunds; a trade that expired has neither field.
  const refunded = form.get('gmt_refund') ? `, ${form.get('refund_fee')} yuan given back` : '';
  const about = `${status}${refunded}`.slice(0, 100);
  return { kind: 'verified', ...sent, reference, amount, currency: 'CNY', about };
}

function aboutOf(form: ReadonlyMap<string, string>): string {
  return (form.get('notify_type') ?? form.get('msg_method') ?? '').slice(0, 100);
}

/** The parameters of the form; undefined for too large a body, a name twice, or bytes that are no UTF-8. */
function parametersOf(body: Buffer): Map<string, string> | undefined {
  if (body.length > bodyBytesMax) return undefined;
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

/** Throws for bytes that are no UTF-8; URLSearchParams would replace them. */
function decoded(part: string): string {
  return decodeURIComponent(part.replaceAll('+', ' '));
}

function refused(reason: 'malformed' | 'signature' | 'stale' | 'other_merchant'): Notification {
  return { kind: 'refused', reason };
}

/** Alipay repeats a notification until the answer is exactly `success`. */
export function answerNotification(verdict: NotificationVerdict): NotificationAnswer {
  const contentType = 'text/plain';
  if (verdict === 'taken') return { status: 200, contentType, body: 'success' };
  return { status: verdict === 'refused' ? 400 : 503, contentType, body: 'fail' };
}
