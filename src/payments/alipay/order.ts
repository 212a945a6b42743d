import type { Charge, ClientAction } from '../provider.ts';
import { chinaTime } from './china-time.ts';
import type { Gateway } from './gateway.ts';
import { yuanOf } from './yuan.ts';

export const scenes = ['page', 'wap', 'app'] as const;
export type Scene = (typeof scenes)[number];

const products = {
  page: { method: 'alipay.trade.page.pay', code: 'FAST_INSTANT_TRADE_PAY' },
  wap: { method: 'alipay.trade.wap.pay', code: 'QUICK_WAP_WAY' },
  app: { method: 'alipay.trade.app.pay', code: 'QUICK_MSECURITY_PAY' },
};
/** Alipay's limit is 256 bytes: 128 Chinese characters. */
const subjectMax = 256;

/** What the buyer's client does to pay. All but the time of signing is computed from the charge. */
export function actionOf(gateway: Gateway, charge: Charge, scene: Scene): ClientAction {
  const { method, code } = products[scene];
  const { returnUrl } = charge.wish;
  const order = {
    out_trade_no: charge.reference,
    total_amount: yuanOf(charge.amount),
    subject: subjectOf(charge),
    product_code: code,
    // An end by the clock: a span would only start to run once the buyer has logged in.
    time_expire: chinaTime(charge.expiresAt),
    ...(scene === 'wap' && returnUrl ? { quit_url: returnUrl } : {}),
  };
  if (scene === 'app') {
    return { kind: 'sdk', parameters: { orderString: gateway.orderString(method, order) } };
  }
  return { kind: 'redirect', url: gateway.pageUrl(method, order, returnUrl) };
}

/** The title without the characters that Alipay forbids, cut to its limit. */
export function subjectOf({ title, reference }: Pick<Charge, 'title' | 'reference'>): string {
  const allowed = title.replace(/[/=&\p{Cc}\p{Cs}]+/gu, ' ').trim();
  let [subject, width] = ['', 0];
  for (const character of allowed) {
    // A character beyond ASCII counts as two bytes, one beyond the first 65,536 as four.
    const more = (character.codePointAt(0) ?? 0) < 0x80 ? 1 : 2 * character.length;
    if (width + more > subjectMax) break;
    [subject, width] = [subject + character, width + more];
  }
  return subject.trim() || reference;
}
