import { writeFileSync } from 'node:fs';
import { actions, type SpikeRecord } from '../record/record.ts';
import { feltSection, saleFigures } from './felt-section.ts';
import { besideRows, checkWord, headlineOf, planLine, verdictOf } from './headline.ts';
import { hoverScript } from './hover.ts';
import { type Html, html } from './markup.ts';
import { drawPlot, type Mark } from './plot.ts';
import { plotsOf } from './plots.ts';
import { style } from './style.ts';
import { actionWords } from './summary.ts';
import { bytes, count, duration, share, spoken } from './words.ts';

/** What each parameter means. */
export type Assumptions = Record<string, { unit: string; text: string }>;

/** Writes the report of a run: one self-contained file that needs no network and no script. */
export function writeReport(record: SpikeRecord, file: string, assumptions?: Assumptions): void {
  writeFileSync(file, pageOf(record, assumptions));
}

export function pageOf(record: SpikeRecord, assumptions: Assumptions = {}): string {
  const { scenario, startedAt } = record;
  const headline = headlineOf(record);
  const valid = headline.tone !== 'invalid';
  const plots = plotsOf(record);
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>${headline.word} · ${scenario.name} · flashdrop</title>
<style>${style}</style>
</head>
<body>
<svg width="0" height="0" style="position:absolute" aria-hidden="true"><defs>
<pattern id="rows" width="8" height="4" patternUnits="userSpaceOnUse"><path class="texture-line" d="M0 2H8"/></pattern>
<pattern id="columns" width="9" height="8" patternUnits="userSpaceOnUse"><path class="texture-line" d="M4 0V8"/></pattern>
<pattern id="grid" width="14" height="7" patternUnits="userSpaceOnUse"><path class="texture-line" d="M0 3H14M7 0V7"/></pattern>
</defs></svg>
<header>
<p class="eyebrow">flashdrop · ${scenario.name} · ${startedAt.slice(0, 16).replace('T', ' ')} UTC</p>
<h1>${scenario.title}</h1>
<div class="verdict ${headline.tone}"><strong>${headline.word}</strong><p class="lead">${headline.sentence}</p></div>
</header>
<main>
${valid && feltSection(record)}
${promises(record)}
${valid && beside(record)}
<section>
<h2>Over time</h2>
<p class="soft">${valid ? 'Seconds since the opening, on every axis.' : 'For finding out what went wrong. None of it is a result.'}</p>
<div class="plots">
${plots.map((plot) => drawPlot(plot, marksOf(record)))}</div>
</section>
${valid && latencyTable(record)}
<div class="pair">
${valid && refusals(record)}
${pacing(record)}
</div>
${parameters(record, assumptions)}
${setting(record)}
</main>
<footer><p>Every figure on this page comes from this one run. Latency counts from the instant at which the schedule wanted the request to leave, so a slow answer cannot hide the requests behind it.</p></footer>
${hoverScript(plots)}
</body>
</html>
`;
  return page.text;
}

function marksOf({ outcome }: SpikeRecord): Mark[] {
  const { allAcceptedAtMs, settledAtMs } = outcome;
  const marks = [
    { at: 0, name: 'opening' },
    { at: allAcceptedAtMs, name: 'all taken' },
    { at: settledAtMs, name: 'settled' },
  ];
  return marks.filter((mark): mark is Mark => mark.at !== undefined && mark.at >= 0);
}

function beside(record: SpikeRecord): Html | undefined {
  const { real } = record.scenario;
  const rows = besideRows(record);
  if (!real || !rows) return undefined;
  const { scale, speed } = record.plan;
  const replay = [
    scale === 1 ? 'full size' : `scale ${scale}`,
    ...(speed === 1 ? [] : [`speed ${speed}`]),
  ];
  return html`<section>
<h2>Beside the real sale</h2>
<p class="soft">${real.title}, ${real.date}. Source: ${real.source}.</p>
${table(
  ['', 'The sale then', `This replay (${replay.join(', ')})`],
  rows.map(({ label, real, ours }) => [label, real, html`<span class="ours">${ours}</span>`]),
)}
</section>`;
}

function promises(record: SpikeRecord): Html {
  const { verdict, pacing } = record;
  const rows = verdict.points.map(({ point, promise, title, ok, figures }) => [
    ok ? html`<span class="ok">✓ held</span>` : html`<span class="fail">✗ broken</span>`,
    html`${title} <span class="soft small">${checkWord(point)}, promise ${promise}</span>`,
    html`<span class="soft small">${Object.entries(figures)
      .map(([name, value]) => `${spoken(name)} ${count(value)}`)
      .join(', ')}</span>`,
  ]);
  return html`<section>
<h2>Promises</h2>
<p class="judged ${verdict.clean ? 'ok' : 'fail'}">${verdict.clean ? '✓' : '✗'} ${verdictOf(record)}</p>
<p class="soft">Judged by the auditor, from what the buyers saw and what the engine tells afterwards. A promise is about right and wrong; how long it took is above.</p>
${pacing.valid && saleFigures(record)}
${wide('Promises', html`<table role="table" class="stacks"><thead role="rowgroup"><tr role="row"><th role="columnheader">Verdict</th><th role="columnheader">Promise</th><th role="columnheader">Figures</th></tr></thead><tbody role="rowgroup">${rows.map((row) => html`<tr role="row">${row.map((cell) => html`<td role="cell">${cell}</td>`)}</tr>`)}</tbody></table>`)}
${
  verdict.breaches.length > 0 &&
  html`<ul class="breaches">${verdict.breaches.map(
    ({ point, promise, order, text }) =>
      html`<li><b>${checkWord(point)}, promise ${promise}</b>${order !== undefined && html`, order <code>${order}</code>`}: ${text}</li>`,
  )}</ul>`
}
</section>`;
}

function latencyTable({ latency }: SpikeRecord): Html {
  const columns = ['p50', 'p90', 'p99', 'p999', 'max'] as const;
  const rows = actions.flatMap((action) => {
    const seen = latency[action];
    if (!seen) return [];
    const name = actionWords[action];
    return [
      [
        name[0]?.toUpperCase() + name.slice(1),
        count(seen.count),
        ...columns.map((column) => duration(seen[column])),
      ],
    ];
  });
  return html`<section>
<h2>Latency</h2>
<p class="soft">From the scheduled start of each request to its answer.</p>
${table(['', 'Requests', '50 %', '90 %', '99 %', '99.9 %', 'Slowest'], rows, 'folds')}
</section>`;
}

function refusals({ outcome }: SpikeRecord): Html {
  const codes = Object.entries(outcome.refused).sort(([, a], [, b]) => b - a);
  const all = codes.reduce((sum, [, n]) => sum + n, 0);
  return html`<section>
<h2>Refusals</h2>
<p class="soft">Buys that got no unit, by what they were told.</p>
${table(
  ['Reason', 'Buys', 'Share'],
  codes.map(([code, n]) => [html`<code>${code}</code>`, count(n), share(n, all)]),
)}
</section>`;
}

function pacing({ pacing, outcome }: SpikeRecord): Html {
  const { scheduled, sent, behindMs } = pacing;
  return html`<section>
<h2>Pacing</h2>
<p class="soft">How well the load kept to its own schedule. A run that falls behind is no result. What people do on being told something (try again, look at their order, cancel) has no schedule.</p>
${table(
  ['', ''],
  [
    ['Acts scheduled', count(scheduled)],
    ['Of these sent', `${count(sent)} (${share(sent, scheduled)})`],
    ['Follow-ups beside them', count(outcome.followUps)],
    ['Behind, half of them within', duration(behindMs.p50)],
    ['Behind, 99 % within', duration(behindMs.p99)],
    ['Behind, at most', duration(behindMs.max)],
  ],
)}
</section>`;
}

function parameters(record: SpikeRecord, assumptions: Assumptions): Html {
  const rows = Object.entries(record.parameters).map(([name, value]) => {
    const { unit, text } = assumptions[name] ?? { unit: '', text: '' };
    return html`<tr><th scope="row"><code>${name}</code></th><td class="n">${measured(value, unit)}</td><td class="soft small">${text}</td></tr>`;
  });
  return html`<section>
<h2>Parameters</h2>
<p class="soft">How the crowd behaved, as run. These are assumptions, not facts of the sale then.</p>
${wide('Parameters', html`<table><thead><tr><th>Name</th><th class="n">Value</th><th>What it assumes</th></tr></thead><tbody>${rows}</tbody></table>`)}
</section>`;
}

/** Counts and plain numbers need no unit. */
function measured(value: number, unit: string): string {
  if (unit === 'share') return `${count(Number((value * 100).toPrecision(6)))} %`;
  return unit === 'ms' ? `${count(value)} ms` : count(value);
}

function setting(record: SpikeRecord): Html {
  const { plan, engine, machine, versions, sale, startedAt } = record;
  const { importMs } = sale;
  const rows: [string, string][] = [
    ['Plan', planLine(record)],
    ['Started', startedAt],
    ['Drop', sale.drop],
    [
      'Appointments',
      `${count(sale.appointments)}${importMs === undefined ? '' : `, imported in ${duration(importMs)}`}`,
    ],
    ['Engine', `${engine.url}, ${engine.own ? 'started for this run' : 'running before'}`],
    ['API processes', engine.apiProcesses === undefined ? 'not told' : count(engine.apiProcesses)],
    ['Redis', `${versions.redis}, ${engine.redis}`],
    ['Ledger', engine.ledger],
    ['Versions', `flashdrop ${versions.flashdrop}, Node.js ${versions.node}`],
    [
      'Machine',
      `${machine.cpu}, ${count(machine.cores)} cores, ${bytes(machine.memoryBytes)}, ${machine.platform}`,
    ],
  ];
  return html`<section>
<h2>The run</h2>
<pre>${plan.command}</pre>
${wide('The run', html`<table><tbody>${rows.map(([name, value]) => html`<tr><th scope="row" class="soft">${name}</th><td>${value}</td></tr>`)}</tbody></table>`)}
</section>`;
}

/**
 * A table of figures: the first column names, the others stand to the right. On a phone one that
 * `folds` shows each row as a block, with the heading beside each figure.
 */
function table(
  head: readonly string[],
  rows: readonly (string | Html)[][],
  look: 'folds' | 'scrolls' = 'scrolls',
): Html {
  const thead = head.some((cell) => cell !== '');
  return wide(
    head[0] || 'Figures',
    html`<table role="table"${look === 'folds' && html` class="folds"`}>${
      thead &&
      html`<thead role="rowgroup"><tr role="row">${head.map((cell, n) => html`<th role="columnheader" scope="col"${n > 0 && html` class="n"`}>${cell}</th>`)}</tr></thead>`
    }<tbody role="rowgroup">${rows.map(
      ([name, ...cells]) =>
        html`<tr role="row"><th role="rowheader" scope="row">${name}</th>${cells.map((cell, n) => html`<td role="cell" class="n" data-of="${head[n + 1] ?? ''}">${cell}</td>`)}</tr>`,
    )}</tbody></table>`,
  );
}

/** A table that is wider than a phone scrolls by itself; the page does not. */
function wide(label: string, inside: Html): Html {
  return html`<div class="wide" role="region" aria-label="${label}" tabindex="0">${inside}</div>`;
}
