import { feltIn } from '../record/felt.ts';
import { type Action, actions, type Latency, type SpikeRecord } from '../record/record.ts';
import { bestSecond } from '../record/seconds.ts';
import { besideRows, checkWord, headlineOf, planLine, verdictOf } from './headline.ts';
import { count, duration, plural, share, spoken } from './words.ts';

const breachesShown = 20;

export const actionWords: Record<Action, string> = {
  look: 'look at the card',
  buy_accepted: 'Buy, accepted',
  buy_refused: 'Buy, refused',
  poll: 'look at the order',
  cancel: 'cancel',
};

/** The end of a run in the terminal. An invalid run is named so, without figures. */
export function summaryOf(record: SpikeRecord, files: { report?: string; json?: string }): string {
  const { scenario, outcome, pacing, verdict } = record;
  const { tone, word, sentence } = headlineOf(record);
  const lines = [
    '',
    `${scenario.title}  (${planLine(record)})`,
    '',
    `${word.toUpperCase()}  ${sentence}`,
  ];
  if (tone !== 'invalid') {
    const { requests, followUps, settledAtMs } = outcome;
    const best = bestSecond(record.timeline, ({ accepted }) => accepted);
    lines.push(
      ...['', ...feltTable(record)],
      ...['', `${verdict.clean ? 'PROMISES HELD' : 'PROMISES BROKEN'}  ${verdictOf(record)}`],
      ...verdictLines(record),
      ...['', ...besideTable(record), ...latencyTable(record.latency), ...refusals(record)],
      `requests ${count(requests)}, of these ${count(followUps)} follow-ups · peak ${count(best)} accepted a second` +
        (settledAtMs === undefined ? '' : ` · settled after ${duration(settledAtMs)}`),
    );
  }
  const { p50, p99, max } = pacing.behindMs;
  lines.push(
    `pacing: ${count(pacing.sent)} of ${count(pacing.scheduled)} scheduled acts sent (${share(pacing.sent, pacing.scheduled)}), behind by ${duration(p50)} (p50), ${duration(p99)} (p99), ${duration(max)} (most)`,
  );
  if (tone === 'invalid') lines.push('', ...verdictLines(record));
  if (files.report) lines.push('', `report  ${files.report}`);
  if (files.json) lines.push(`json    ${files.json}`);
  return `${lines.join('\n')}\n`;
}

function verdictLines({ verdict }: SpikeRecord): string[] {
  const points = verdict.points.map(({ point, promise, title, ok }) => {
    return `${ok ? 'ok  ' : 'FAIL'} ${point.padEnd(5)} promise ${String(promise).padEnd(2)} ${title}`;
  });
  const breaches = verdict.breaches
    .slice(0, breachesShown)
    .map(({ point, promise, order, text }) => {
      return `BREACH of promise ${promise} at ${checkWord(point)}${order ? `, order ${order}` : ''}: ${text}`;
    });
  const more = verdict.breaches.length - breaches.length;
  return [
    ...points,
    ...breaches,
    ...(more > 0 ? [`and ${plural(more, 'breach', 'breaches')} more`] : []),
  ];
}

/** What became of the Buys; the answer of a turned-away Buy is in the latency of the refused. */
function feltTable(record: SpikeRecord): string[] {
  const { buys, accepted, refused, turnedAway, unanswered, ...latency } = feltIn(record);
  const waited = (seen: Latency | undefined) =>
    seen ? [duration(seen.p50), duration(seen.p99)] : ['–', '–'];
  return table([
    ['what the buyers felt', 'Buys', 'share', 'p50', 'p99'],
    ['accepted', count(accepted), share(accepted, buys), ...waited(latency.acceptedLatency)],
    [
      'refused, with a reason',
      count(refused),
      share(refused, buys),
      ...waited(latency.refusedLatency),
    ],
    ['turned away: overloaded', count(turnedAway), share(turnedAway, buys), '', ''],
    ['no answer', count(unanswered), share(unanswered, buys), '', ''],
  ]);
}

function besideTable(record: SpikeRecord): string[] {
  const rows = besideRows(record);
  if (!rows) return [];
  return [...table([['', 'then', 'now'], ...rows.map((r) => [r.label, r.real, r.ours])]), ''];
}

function latencyTable(latency: SpikeRecord['latency']): string[] {
  const columns = ['p50', 'p90', 'p99', 'p999', 'max'] as const;
  const row = (action: Action, seen: Latency) => {
    return [actionWords[action], count(seen.count), ...columns.map((name) => duration(seen[name]))];
  };
  const rows = actions.flatMap((action) => {
    const seen = latency[action];
    return seen ? [row(action, seen)] : [];
  });
  if (rows.length === 0) return [];
  return [...table([['latency', 'count', 'p50', 'p90', 'p99', 'p99.9', 'max'], ...rows]), ''];
}

function refusals({ outcome }: SpikeRecord): string[] {
  const codes = Object.entries(outcome.refused).sort(([, a], [, b]) => b - a);
  if (codes.length === 0) return [];
  return [`refused: ${codes.map(([code, n]) => `${spoken(code)} ${count(n)}`).join(' · ')}`];
}

/** Columns as wide as their widest cell: names to the left, and figures to the right. */
export function table(rows: readonly string[][], cells: 'left' | 'right' = 'right'): string[] {
  const widths = (rows[0] ?? []).map((_, column) => {
    return Math.max(...rows.map((row) => (row[column] ?? '').length));
  });
  return rows.map((row) =>
    row
      .map((cell, column) => {
        const width = widths[column] ?? 0;
        return column === 0 || cells === 'left' ? cell.padEnd(width) : cell.padStart(width);
      })
      .join('   ')
      .trimEnd(),
  );
}
