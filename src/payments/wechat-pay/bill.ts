import { createHash } from 'node:crypto';
import type { BillLine } from '../provider.ts';
import type { Exchange } from './exchange.ts';
import { textOf } from './json.ts';
import { beijingMs, type Merchant } from './merchant.ts';

const dayMs = 24 * 3_600_000;
const lineBytesMax = 64 * 1024;
/** A day's bill is there by this time of the next morning. */
const madeByMs = 10 * 3_600_000;

/**
 * The movements between two instants, from the bills of the days they fall into. A day's bill is
 * made the next morning, by ten in Beijing; asking for it before throws.
 */
export async function* bill(
  { merchant, exchange }: { merchant: Merchant; exchange: Exchange },
  window: { from: number; until: number },
): AsyncIterable<BillLine> {
  for (let day = dayOf(window.from); day < window.until; day += dayMs) {
    for await (const line of billOfDay(merchant, exchange, day)) {
      if (line.at >= window.from && line.at < window.until) yield line;
    }
  }
}

async function* billOfDay(
  merchant: Merchant,
  exchange: Exchange,
  day: number,
): AsyncIterable<BillLine> {
  const date = new Date(day + beijingMs).toISOString().slice(0, 10);
  const path = `/v3/bill/tradebill?bill_date=${date}&bill_type=ALL`;
  const answer = await merchant.client.call({ method: 'GET', path });
  if (answer.kind === 'refused' && answer.code === 'NOSTATEMENTEXIST') return;
  if (answer.kind !== 'done') {
    const why = answer.kind === 'refused' ? `${answer.code} ${answer.message}` : answer.why;
    throw new Error(`WeChat Pay has no bill of ${date}: ${why}`);
  }
  const download = URL.parse(textOf(answer.fields, 'download_url') ?? '');
  const digest = textOf(answer.fields, 'hash_value');
  if (!download || !digest) throw new Error(`WeChat Pay did not say where the bill of ${date} is`);
  // Only the path is taken, so that no answer sends us to another host.
  const bytes = exchange.stream({ method: 'GET', path: download.pathname + download.search });
  const hash = createHash('sha1');
  let columns: string[] | undefined;
  for await (const text of linesOf(bytes, (chunk) => hash.update(chunk))) {
    columns ??= text.split(',');
    // Each value of a movement begins with a grave accent; what has none is a heading.
    if (text.startsWith('`')) {
      const line = billLine(columns, text.slice(1).split(',`'));
      if (line) yield line;
    } else if (text.startsWith('总交易单数')) columns = text.split(',');
  }
  // The file itself is not signed; its digest stood in an answer that was.
  if (hash.digest('hex') !== digest.toLowerCase()) {
    throw new Error(`the bill of ${date} is not what WeChat Pay made: its digest differs`);
  }
}

function billLine(columns: readonly string[], values: readonly string[]): BillLine | undefined {
  const value = (column: string) => values[columns.indexOf(column)]?.trim() ?? '';
  // The totals at the end of the file.
  if (!columns.includes('交易时间')) return undefined;
  const at = Date.parse(`${value('交易时间').replace(' ', 'T')}+08:00`);
  const isRefund = value('交易状态') === 'REFUND';
  const amount = minorUnits(value(isRefund ? '申请退款金额' : '订单金额'));
  if (Number.isNaN(at) || amount === undefined) {
    throw new Error(`a line of the bill cannot be read: ${values.join(',').slice(0, 200)}`);
  }
  const [reference, providerReference] = isRefund
    ? [value('商户退款单号'), value('微信退款单号')]
    : [value('商户订单号'), value('微信订单号')];
  const kind = isRefund ? 'refund' : 'capture';
  return { kind, reference, providerReference, amount, currency: value('货币种类'), at };
}

/** Yuan in decimals to fen, exactly. */
function minorUnits(text: string): number | undefined {
  const match = /^(\d{1,12})(?:\.(\d{1,2}))?$/.exec(text);
  if (!match) return undefined;
  return Number(match[1]) * 100 + Number((match[2] ?? '').padEnd(2, '0'));
}

async function* linesOf(
  bytes: AsyncIterable<Uint8Array>,
  seen: (chunk: Uint8Array) => void,
): AsyncIterable<string> {
  const decoder = new TextDecoder(); // Drops the mark that the file begins with.
  let rest = '';
  for await (const chunk of bytes) {
    seen(chunk);
    rest += decoder.decode(chunk, { stream: true });
    const lines = rest.split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > lineBytesMax) throw new Error('a line of the bill is too long');
    for (const line of lines) yield line.trimEnd();
  }
  rest += decoder.decode();
  if (rest !== '') yield rest.trimEnd();
}

/** The end of the last day whose bill is made by now. */
export function billedUntil(now: number): number {
  const today = dayOf(now);
  return now - today >= madeByMs ? today : today - dayMs;
}

/** The beginning of an instant's day in Beijing. */
function dayOf(at: number): number {
  return Math.floor((at + beijingMs) / dayMs) * dayMs - beijingMs;
}
