import { refundedOf } from '../book.ts';
import type { BookedCharge, Simulator } from '../protocol.ts';

/** The content of an answer or of a notification. */
export type Node = { code: string; msg: string; sub_code?: string; [field: string]: unknown };

type Content = Record<string, unknown>;

/** A year after its payment a trade is finished and cannot be refunded. */
const refundableMs = 365 * 24 * 3600_000;

/** Answers a call about a trade; undefined for an unknown method. */
export function answerTo(method: string, content: Content, simulator: Simulator): Node | undefined {
  const answer = methods[method];
  if (!answer) return undefined;
  const reference = content['out_trade_no'];
  if (typeof reference !== 'string' || reference === '') return failed('ACQ.INVALID_PARAMETER');
  const charge = simulator.book.find(reference);
  if (!charge) return failed('ACQ.TRADE_NOT_EXIST', { out_trade_no: reference });
  return answer(charge, content, simulator);
}

const methods: Record<string, (charge: BookedCharge, content: Content, s: Simulator) => Node> = {
  'alipay.trade.query': (charge, _content, { now }) =>
    done({
      ...namesOf(charge),
      buyer_logon_id: '159****5620',
      buyer_user_id: '2088101117955611',
      trade_status: statusOf(charge, now()),
      total_amount: yuan(charge.amount),
      ...(charge.capturedAt !== undefined && { send_pay_date: chinaTime(charge.capturedAt) }),
      receipt_amount: yuan(charge.state === 'captured' ? charge.amount - refundedOf(charge) : 0),
    }),

  'alipay.trade.close': (charge, _content, { book }) =>
    book.close(charge.reference, 'closed') === 'closed'
      ? done(namesOf(charge))
      : failed('ACQ.TRADE_STATUS_ERROR', namesOf(charge)),

  'alipay.trade.refund': refund,

  'alipay.trade.fastpay.refund.query': (charge, { out_request_no }) => {
    const found = charge.refunds.find(({ reference }) => reference === out_request_no);
    // Without a trade the answer only acknowledges the query.
    if (!found) return done({});
    return done({
      ...namesOf(charge),
      out_request_no,
      refund_amount: yuan(found.amount),
      refund_status: 'REFUND_SUCCESS',
      total_amount: yuan(charge.amount),
    });
  },
};

function refund(charge: BookedCharge, content: Content, { book, now }: Simulator): Node {
  const amount = fen(content['refund_amount']);
  const reference = content['out_request_no'] ?? charge.reference;
  if (amount === undefined || typeof reference !== 'string') return failed('ACQ.INVALID_PARAMETER');
  if (charge.state !== 'captured') return failed('ACQ.TRADE_STATUS_ERROR', namesOf(charge));
  const isRepeat = charge.refunds.some((earlier) => earlier.reference === reference);
  const status = statusOf(charge, now());
  if (status === 'TRADE_FINISHED') return failed('ACQ.TRADE_HAS_FINISHED', namesOf(charge));
  if (status === 'TRADE_CLOSED' && !isRepeat) return failed('ACQ.TRADE_HAS_CLOSE', namesOf(charge));
  // Only a full refund may omit the refund's number.
  if (content['out_request_no'] === undefined && amount !== charge.amount) {
    return failed('ACQ.REFUND_AMT_NOT_EQUAL_TOTAL', namesOf(charge));
  }
  const { kind } = book.refund(charge.reference, { reference, amount });
  if (kind === 'reused') return failed('ACQ.DISCORDANT_REPEAT_REQUEST', namesOf(charge));
  if (kind === 'exceeds') return failed('ACQ.REASON_TRADE_REFUND_FEE_ERR', namesOf(charge));
  if (kind === 'none') return failed('ACQ.TRADE_STATUS_ERROR', namesOf(charge));
  return done({
    ...namesOf(charge),
    fund_change: kind === 'refunded' ? 'Y' : 'N',
    gmt_refund_pay: chinaTime(now()),
    refund_fee: yuan(refundedOf(charge)),
  });
}

/** A trade that is refunded in full counts as closed, like one that was never paid. */
export function statusOf(charge: BookedCharge, now: number): string {
  if (charge.state === 'open') return 'WAIT_BUYER_PAY';
  if (charge.state !== 'captured' || refundedOf(charge) === charge.amount) return 'TRADE_CLOSED';
  const paidFor = now - (charge.capturedAt ?? now);
  return paidFor > refundableMs ? 'TRADE_FINISHED' : 'TRADE_SUCCESS';
}

function namesOf({ reference, providerReference }: BookedCharge) {
  return { out_trade_no: reference, trade_no: providerReference };
}

function done(fields: Content): Node {
  return { code: '10000', msg: 'Success', ...fields };
}

function failed(code: string, fields: Content = {}): Node {
  return { code: '40004', msg: 'Business Failed', sub_code: code, sub_msg: code, ...fields };
}

export function yuan(amount: number): string {
  const text = String(amount).padStart(3, '0');
  return `${text.slice(0, -2)}.${text.slice(-2)}`;
}

/** Minor units of a sum from 0.01 to 100,000,000 yuan. */
export function fen(text: unknown): number | undefined {
  if (typeof text !== 'string' || !/^\d{1,9}(\.\d{1,2})?$/.test(text)) return undefined;
  const [whole = '', part = ''] = text.split('.');
  const amount = Number(whole + part.padEnd(2, '0'));
  return amount >= 1 && amount <= 10_000_000_000 ? amount : undefined;
}

const zone = '+08:00';

export function chinaTime(ms: number): string {
  return new Date(ms).toLocaleString('sv-SE', { timeZone: 'Asia/Shanghai' });
}

export function fromChinaTime(text: unknown): number | undefined {
  const ms = typeof text === 'string' ? Date.parse(`${text.replace(' ', 'T')}${zone}`) : Number.NaN;
  return Number.isFinite(ms) ? ms : undefined;
}
