import { type Axis, timeAxis, valueAxis } from './axis.ts';
import { type Html, html } from './markup.ts';
import { isSeen, most, type Plot, type Series } from './series.ts';
import { bytes, count, duration, sinceOpening } from './words.ts';

// A plot is an SVG that stretches to the available width, with its text as HTML beside it, so that
// letters keep their size on every screen.

const width = 1_000;
const height = 100;

/** An instant that is marked in every plot, in ms since the opening. */
export type Mark = { at: number; name: string };

export function drawPlot(plot: Plot, marks: readonly Mark[]): Html {
  const { at } = plot;
  const series = plot.series.filter(isSeen);
  const layers = plot.kind === 'stack' ? stacked(series) : series.map(({ values }) => values);
  const x = timeAxis(at);
  const y = valueAxis(plot, most(layers.flat()));
  const title = `${plot.title}, ${plot.measure}`;
  const inSight = marks.filter((mark) => x.place(mark.at) >= 0 && x.place(mark.at) <= 1);
  const names = markLabels(x, inSight);
  const shapes = plot.kind === 'stack' ? areas : lines;
  return html`<figure class="plot${plot.whole ? ' whole' : ''}" id="${plot.id}">
<figcaption><h3>${plot.title}</h3><p>${plot.measure}</p></figcaption>
${
  series.length === 0
    ? html`<p class="none">Nothing was seen of this in the run.</p>`
    : html`<div class="frame rows${names.rows}" data-plot="${plot.id}">
<div class="y" aria-hidden="true">${y.ticks.map(
        (tick) => html`<span style="bottom:${percent(tick.at)}">${tick.label}</span>`,
      )}</div>
<svg viewBox="0 0 ${width} ${height}" preserveAspectRatio="none" role="img" aria-labelledby="${plot.id}-t ${plot.id}-d">
<title id="${plot.id}-t">${title}</title>
<desc id="${plot.id}-d">${description(plot, series)}</desc>
${y.ticks.map(({ at: up }) => html`<path class="grid" d="M0 ${flip(up)}H${width}"/>`)}
${shapes(series, layers, { x, y, at, joinMs: plot.joinMs ?? 0 })}
${inSight.map((mark) => html`<path class="mark" d="M${across(x, mark.at)} 0V${height}"/>`)}
</svg>
<div class="marks" aria-hidden="true">${names.labels}</div>
<div class="x" aria-hidden="true">${x.ticks.map(
        (tick) => html`<span style="left:${percent(tick.at)}">${tick.label}</span>`,
      )}</div>
</div>
<ul class="legend">${legend(plot, series)}</ul>`
}
</figure>
`;
}

/** On a phone a label takes up to this share of the plot's width. */
const nameShare = 0.25;

/** Labels are placed at their line, in another row where they would overlap the one before. */
function markLabels(x: Axis, marks: readonly Mark[]): { labels: Html[]; rows: number } {
  /** How far each row is occupied, from the lowest up. */
  const taken: number[] = [];
  const labels = marks.map(({ at, name }) => {
    const place = x.place(at);
    const before = place > 1 - nameShare;
    const from = before ? place - nameShare : place;
    const free = taken.findIndex((to) => to <= from);
    const row = free < 0 ? taken.length : free;
    taken[row] = from + nameShare;
    return html`<span class="${before ? 'before' : 'after'} row${row}" style="left:${percent(place)}">${name}</span>`;
  });
  return { labels, rows: taken.length };
}

type Place = { x: Axis; y: Axis; at: readonly number[]; joinMs: number };

/** A line for each series, with gaps where there are no values. */
function lines(series: readonly Series[], layers: Layers, place: Place): Html[] {
  // The first series is the main one: it is drawn last, on top.
  return series
    .map(({ colour, dashed }, index) => {
      const d = runs(layers[index] ?? [], place)
        .map((run) => `M${outline(place, run, layers[index] ?? []).join('L')}`)
        .join('');
      return html`<path class="line c${colour}${dashed ? ' dashed' : ''}" d="${d}"/>`;
    })
    .reverse();
}

/** Stacked layers, each with a texture beside its colour. */
function areas(series: readonly Series[], layers: Layers, place: Place): Html[] {
  return series.map(({ colour }, index) => {
    const upper = layers[index] ?? [];
    const lower = layers[index - 1] ?? [];
    const d = runs(upper, place)
      .map((run) => {
        const top = outline(place, run, upper);
        const bottom = outline(place, run, lower).reverse();
        return `M${[...top, ...bottom].join('L')}Z`;
      })
      .join('');
    return html`<path class="area c${colour}" d="${d}"/><path class="texture t${colour % 4}" d="${d}"/>`;
  });
}

type Layers = readonly (readonly (number | undefined)[])[];

/** Running sums; a step without a value stays without one in all of them. */
function stacked(series: readonly Series[]): (number | undefined)[][] {
  const known = (series[0]?.values ?? []).map((_, i) =>
    series.some(({ values }) => values[i] !== undefined),
  );
  let below: number[] = known.map(() => 0);
  return series.map(({ values }) => {
    below = below.map((sum, i) => sum + (values[i] ?? 0));
    return below.map((sum, i) => (known[i] ? sum : undefined));
  });
}

/** Runs of indexes that have values; short gaps are joined. */
function runs(values: Layers[number], { at, joinMs }: Place): number[][] {
  const found: number[][] = [];
  let last: number | undefined;
  values.forEach((value, index) => {
    if (value === undefined) return;
    const gapMs = (at[index] ?? 0) - (at[last ?? 0] ?? 0);
    const isNext = last !== undefined && (last === index - 1 || gapMs <= joinMs);
    if (isNext) found.at(-1)?.push(index);
    else found.push([index]);
    last = index;
  });
  return found;
}

/** The outline of a run; a single step between two gaps is drawn with its full width. */
function outline({ x, y, at }: Place, run: readonly number[], values: Layers[number]): string[] {
  const half = run.length > 1 ? 0 : ((at[1] ?? 0) - (at[0] ?? 0)) / 2;
  const ends = half > 0 ? [-half, half] : [0];
  return run.flatMap((index) =>
    ends.map((by) => `${across(x, (at[index] ?? 0) + by)} ${flip(y.place(values[index] ?? 0))}`),
  );
}

function across(x: Axis, ms: number): number {
  return Number((x.place(ms) * width).toFixed(1));
}

function flip(up: number): number {
  return Number(((1 - up) * height).toFixed(2));
}

function percent(place: number): string {
  return `${(place * 100).toFixed(2)}%`;
}

/** In the order of the drawing: a stack from its top down. */
function legend(plot: Plot, series: readonly Series[]): Html[] {
  const rows = series.map(
    ({ name, colour, dashed, told }, index) =>
      html`<li>${swatch(plot, colour, dashed)}<span>${name}</span> <b data-series="${index}">${told}</b></li>`,
  );
  return plot.kind === 'stack' ? rows.reverse() : rows;
}

function swatch(plot: Plot, colour: number, dashed: boolean | undefined): Html {
  const shape =
    plot.kind === 'stack'
      ? html`<path class="area c${colour}" d="M0 0H22V12H0Z"/><path class="texture t${colour % 4}" d="M0 0H22V12H0Z"/>`
      : html`<path class="line c${colour}${dashed ? ' dashed' : ''}" d="M0 6H22"/>`;
  return html`<svg class="swatch" viewBox="0 0 22 12" aria-hidden="true">${shape}</svg>`;
}

export const formats = {
  count,
  ms: duration,
  bytes,
  cores: (value: number) => value.toFixed(2),
} satisfies Record<Plot['unit'], (value: number) => string>;

function description({ unit, at }: Plot, series: readonly Series[]): string {
  const parts = series.map(({ name, values }) => {
    const high = most(values);
    const when = at[values.indexOf(high)] ?? 0;
    return `${name}: at most ${formats[unit](high)}, ${sinceOpening(Math.round(when))}`;
  });
  return `${parts.join('; ')}.`;
}
