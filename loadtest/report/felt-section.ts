import { feltIn, learnedWithinMs } from '../record/felt.ts';
import type { SpikeRecord } from '../record/record.ts';
import { bestSecond } from '../record/seconds.ts';
import { type Html, html } from './markup.ts';
import { count, duration, share } from './words.ts';

// The first thing a reader sees: what became of the Buys, and how long their buyers waited.

export function feltSection(record: SpikeRecord): Html {
  const { buys, accepted, refused, turnedAway, unanswered } = feltIn(record);
  const parts = [
    { name: 'Accepted', n: accepted, note: 'the unit was theirs' },
    { name: 'Refused', n: refused, note: 'told why, such as sold out' },
    { name: 'Overloaded', n: turnedAway, note: 'told to come again' },
    { name: 'No answer', n: unanswered, note: 'gave up waiting' },
  ];
  return html`<section class="felt">
<h2>What the buyers felt</h2>
<p class="soft">${count(buys)} Buys, tries again included. Served are those that were accepted, or refused with a reason: ${share(accepted + refused, buys)}.</p>
<div class="shares" aria-hidden="true">${parts.map(
    ({ n }, index) => html`<i class="s${index}" style="flex-grow:${n}"></i>`,
  )}</div>
<dl class="parts">${parts.map(
    ({ name, n, note }, index) =>
      html`<div class="s${index}"><dt>${name}</dt><dd>${share(n, buys)}</dd><dd class="soft small">${count(n)}, ${note}</dd></div>`,
  )}</dl>
${waits(record)}
</section>`;
}

/** On a scale from 1 ms on, each tenfold as wide as the one before. */
function waits(record: SpikeRecord): Html {
  const { acceptedLatency, refusedLatency } = feltIn(record);
  const seen = [
    { name: 'Accepted', latency: acceptedLatency },
    { name: 'Refused', latency: refusedLatency },
  ].flatMap(({ name, latency }) => (latency ? [{ name, latency }] : []));
  const slowest = Math.max(learnedWithinMs * 10, ...seen.map(({ latency }) => latency.p99));
  const place = (ms: number) =>
    `${((100 * Math.log10(Math.max(1, ms))) / Math.log10(slowest)).toFixed(1)}%`;
  return html`<div class="waits" role="table" aria-label="How long buyers waited for their answer">
<div role="row" class="head"><span role="columnheader">Waited for the answer</span><span role="columnheader">half up to (p50)</span><span role="columnheader">1 in 100 more than (p99)</span></div>
${seen.map(
  ({ name, latency: { p50, p99 } }) =>
    html`<div role="row"><span role="rowheader">${name}</span><b role="cell"${late(p50)}>${duration(p50)}</b><b role="cell"${late(p99)}>${duration(p99)}</b><i class="span" aria-hidden="true"><i class="second" style="left:${place(learnedWithinMs)}"></i><i class="from" style="left:${place(p50)};right:calc(100% - ${place(p99)})"></i></i></div>`,
)}
<p class="soft small">The bar goes from the one to the other, the line is at a second: within it a buyer is to know.</p>
</div>`;
}

function late(ms: number): Html | false {
  return ms > learnedWithinMs && html` class="late"`;
}

/** What the sale came to, beside what its buyers felt. */
export function saleFigures({ outcome, sale, timeline }: SpikeRecord): Html {
  const { allAcceptedAtMs, accepted, settledAtMs } = outcome;
  const best = bestSecond(timeline, (moment) => moment.accepted);
  const figures: [string, string][] = [
    allAcceptedAtMs === undefined
      ? ['Accepted', `${count(accepted)} of ${count(sale.units)}`]
      : ['All units taken after', duration(allAcceptedAtMs)],
    ['Accepted in the best second', count(best)],
    ['All settled after', settledAtMs === undefined ? 'not in time' : duration(settledAtMs)],
  ];
  return html`<dl class="figures">${figures.map(
    ([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`,
  )}</dl>`;
}
