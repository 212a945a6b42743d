import { createHash } from 'node:crypto';
import { textOf } from '../json.ts';
import type { BillLine } from '../provider.ts';
import type { Http } from './http.ts';
import type { Merchant } from './merchant.ts';
import { fenOf } from './money.ts';
import { beijingDate, beijingDayOf, dayMs } from './time.ts';

const lineLengthMax = 64 * 1024;
/** The first heading of the totals at the end of the file. */
const totalsHeading = '总交易单数';
/** WeChat Pay has made a day's bill by ten o'clock the next morning in Beijing. */
const madeByMs = 10 * 3_600_000;

/**
 * WeChat Pay's own book: the captures and refunds of a window (ms), from the bills of its days.
 * @throws Error for a day whose bill is not made yet (see billedUntil) or is not what was signed
 */
export async function* bill(
  { merchant, http }: { merchant: Merchant; http: Http },
  window: { from: number; until: number },
): AsyncIterable<BillLine> {
  for (let day = beijingDayOf(window.from); day < window.until; day += dayMs) {
    for await (const line of billOfDay({ merchant, http }, day)) {
      if (line.at >= window.from && line.at < window.until) yield line;
    }
  }
}

async function* billOfDay(
  { merchant, http }: { merchant: Merchant; http: Http },
  day: number,
): AsyncIterable<BillLine> {
  const date = beijingDate(day);
  const file = await fileOf(merchant, date);
  if (!file) return;
  const hash = createHash('sha1');
  let columns: string[] | undefined;
  const bytes = http.stream({ method: 'GET', path: file.path });
  for await (const text of linesOf(bytes, (chunk) => hash.update(chunk))) {
    columns ??= text.split(',');
    // Values begin with a grave accent, headings do not.
    if (text.startsWith('`')) {
      const line = billLine(columns, text.slice(1).split(',`'));
      if (line) yield line;
    } else if (text.startsWith(totalsHeading)) columns = text.split(',');
  }
  // The file is not signed, but its digest was in a signed answer.
  if (hash.digest('hex') !== file.digest) {
    throw new Error(`the bill of ${date} is not what WeChat Pay made: its digest differs`);
  }
}

/** Where the bill of a day (`yyyy-MM-dd`) is; undefined when nothing moved on it. */
async function fileOf(
  { client }: Merchant,
  date: string,
): Promise<{ path: string; digest: string } | undefined> {
  const path = `/v3/bill/tradebill?bill_date=${date}&bill_type=ALL`;
  const answer = await client.call({ method: 'GET', path });
  if (answer.kind === 'refused' && answer.code === 'NOSTATEMENTEXIST') return undefined;
  if (answer.kind !== 'done') {
    const why = answer.kind === 'refused' ? `${answer.code} ${answer.message}` : answer.why;
    throw new Error(`WeChat Pay has no bill of ${date}: ${why}`);
  }
  const download = URL.parse(textOf(answer.fields, 'download_url') ?? '');
  const digest = textOf(answer.fields, 'hash_value');
  if (!download || !digest) throw new Error(`WeChat Pay did not say where the bill of ${date} is`);
  // Only the path is used, so that no answer can send us to another host.
  return { path: download.pathname + download.search, digest: digest.toLowerCase() };
}

function billLine(columns: readonly string[], values: readonly string[]): BillLine | undefined {
  const value = (column: string) => values[columns.indexOf(column)]?.trim() ?? '';
  // Totals at the end of the file have no time.
  if (!columns.includes('交易时间')) return undefined;
  const at = Date.parse(`${value('交易时间').replace(' ', 'T')}+08:00`);
  const isRefund = value('交易状态') === 'REFUND';
  const amount = fenOf(value(isRefund ? '申请退款金额' : '订单金额'));
  if (Number.isNaN(at) || amount === undefined) {
    throw new Error(`a line of the bill cannot be read: ${values.join(',').slice(0, 200)}`);
  }
  const [reference, providerReference] = isRefund
    ? [value('商户退款单号'), value('微信退款单号')]
    : [value('商户订单号'), value('微信订单号')];
  const kind = isRefund ? 'refund' : 'capture';
  return { kind, reference, providerReference, amount, currency: value('货币种类'), at };
}

async function* linesOf(
  bytes: AsyncIterable<Uint8Array>,
  onChunk: (chunk: Uint8Array) => void,
): AsyncIterable<string> {
  const decoder = new TextDecoder(); // Drops the byte order mark.
  let rest = '';
  for await (const chunk of bytes) {
    onChunk(chunk);
    rest += decoder.decode(chunk, { stream: true });
    const lines = rest.split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > lineLengthMax) throw new Error('a line of the bill is too long');
    for (const line of lines) yield line.trimEnd();
  }
  rest += decoder.decode();
  if (rest !== '') yield rest.trimEnd();
}

/** The end of the last day whose bill is made at `now`; both ms since the epoch. */
export function billedUntil(now: number): number {
  const today = beijingDayOf(now);
  return now - today >= madeByMs ? today : today - dayMs;
}
