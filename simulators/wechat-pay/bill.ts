import type { BookedCharge, BookedRefund } from '../protocol.ts';
import { type Agreement, beijingTime } from './wire.ts';

// Format: pay.weixin.qq.com/docs/merchant/products/bill-download/format-trade.html.
const columns =
  '交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,应结订单金额,代金券金额,微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,手续费,费率,订单金额,申请退款金额,费率备注';
const totals =
  '总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额';

/** The trade bill of one day in Beijing time (`2025-12-31`); undefined when there were no trades. */
export function billText(
  charges: readonly BookedCharge[],
  date: string,
  agreement: Agreement,
): string | undefined {
  const isOfDay = (at: number) => beijingTime(at).startsWith(date);
  const lines: string[] = [];
  let [paid, returned] = [0, 0];
  for (const charge of charges) {
    if (charge.capturedAt !== undefined && isOfDay(charge.capturedAt)) {
      lines.push(line(agreement, charge));
      paid += charge.amount;
    }
    for (const refund of charge.refunds.filter(({ at }) => isOfDay(at))) {
      lines.push(line(agreement, charge, refund));
      returned += refund.amount;
    }
  }
  if (lines.length === 0) return undefined;
  const sums = [String(lines.length), yuan(paid), yuan(returned), '0.00', '0.00000', yuan(paid)];
  const all = [columns, ...lines, totals, row([...sums, yuan(returned)])];
  return `\ufeff${all.map((text) => `${text}\r\n`).join('')}`;
}

function line(agreement: Agreement, charge: BookedCharge, refund?: BookedRefund): string {
  const at = beijingTime(refund?.at ?? charge.capturedAt ?? 0).slice(0, 19);
  const [paid, returned] = refund ? [0, refund.amount] : [charge.amount, 0];
  return row([
    at.replace('T', ' '),
    ...[agreement.appId, agreement.merchantId, '0', '', charge.providerReference],
    ...[charge.reference, 'oSimulated', charge.extra['tradeType'] ?? 'NATIVE'],
    ...[refund ? 'REFUND' : 'SUCCESS', 'OTHERS', charge.currency, yuan(paid), '0.00'],
    ...[refund?.providerReference ?? '0', refund?.reference ?? '0', yuan(returned), '0.00'],
    ...[refund ? 'ORIGINAL' : '', refund ? 'SUCCESS' : '', charge.extra['title'] ?? '', ''],
    ...['0.00000', '0.60%', yuan(paid), yuan(returned), ''],
  ]);
}

/** Each value has a grave accent before it, so that no spreadsheet rounds it. */
function row(values: readonly string[]): string {
  return values.map((value) => `\`${value}`).join(',');
}

function yuan(fen: number): string {
  return `${Math.floor(fen / 100)}.${String(fen % 100).padStart(2, '0')}`;
}
