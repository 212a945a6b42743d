import type { Charge, ClientAction } from '../provider.ts';
import type { Client } from './client.ts';
import { yuanOf } from './money.ts';
import { chinaTime } from './time.ts';
import type { Scene } from './wish.ts';

const products = {
  page: { method: 'alipay.trade.page.pay', code: 'FAST_INSTANT_TRADE_PAY' },
  wap: { method: 'alipay.trade.wap.pay', code: 'QUICK_WAP_WAY' },
  app: { method: 'alipay.trade.app.pay', code: 'QUICK_MSECURITY_PAY' },
};
/** In bytes as Alipay counts them: 128 Chinese characters. */
const subjectBytesMax = 256;

/**
 * What the buyer's client does to pay. It is computed from the charge alone, except for the time of
 * the signature, so it is the same however often it is asked for.
 */
export function actionOf(client: Client, charge: Charge, scene: Scene): ClientAction {
  const { method, code } = products[scene];
  const { returnUrl } = charge.wish;
  const order = {
    out_trade_no: charge.reference,
    total_amount: yuanOf(charge.amount),
    subject: subjectOf(charge),
    product_code: code,
    // An instant, not a span: a span would only start once the buyer has logged in.
    time_expire: chinaTime(charge.expiresAt),
    ...(scene === 'wap' && returnUrl ? { quit_url: returnUrl } : {}),
  };
  if (scene === 'app') {
    return { kind: 'sdk', parameters: { orderString: client.orderString(method, order) } };
  }
  return { kind: 'redirect', url: client.pageUrl(method, order, returnUrl) };
}

/** The title without the characters that Alipay forbids, cut to its limit; else the reference. */
export function subjectOf({ title, reference }: Pick<Charge, 'title' | 'reference'>): string {
  const allowed = title.replace(/[/=&\p{Cc}\p{Cs}]+/gu, ' ').trim();
  let subject = '';
  let bytes = 0;
  for (const character of allowed) {
    // Alipay counts a character beyond ASCII as two bytes, one beyond the first 65,536 as four.
    bytes += (character.codePointAt(0) ?? 0) < 0x80 ? 1 : 2 * character.length;
    if (bytes > subjectBytesMax) break;
    subject += character;
  }
  return subject.trim() || reference;
}
