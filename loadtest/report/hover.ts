import { timeSpan } from './axis.ts';
import { Html, json } from './markup.ts';
import { isSeen, type Plot } from './series.ts';

/** Under the pointer, the legend shows the values of that instant. The page works without script. */
export function hoverScript(plots: readonly Plot[]): Html {
  const data: Data = Object.fromEntries(
    plots.map(({ id, unit, series, at }) => {
      const { from, to } = timeSpan(at);
      const values = series.filter(isSeen).map((one) => one.values.map(short));
      return [id, { unit, at: at.map(Math.round), from, to, values }];
    }),
  );
  return new Html(`<script>(${follow.toString()})(${json(data).text})</script>`);
}

function short(value: number | undefined): number | null {
  return value === undefined ? null : Number(value.toPrecision(4));
}

type Data = Record<
  string,
  { unit: string; at: number[]; from: number; to: number; values: (number | null)[][] }
>;

/** Runs in the browser as it is written here: it may use nothing from outside itself. */
function follow(data: Data): void {
  type Element = {
    textContent: string;
    className: string;
    style: { left: string };
    dataset: Record<string, string>;
    remove(): void;
    append(child: Element): void;
    contains(child: Element): boolean;
    querySelectorAll(selector: string): Iterable<Element>;
    parentElement: Element;
    getBoundingClientRect(): { left: number; width: number };
    addEventListener(name: string, listener: (event: { clientX: number }) => void): void;
  };
  const { document } = globalThis as unknown as {
    document: {
      querySelectorAll(selector: string): Iterable<Element>;
      createElement(name: string): Element;
    };
  };
  const figure = (value: number, digits: number) =>
    value.toLocaleString('en-US', { maximumFractionDigits: digits });
  const formats: Record<string, (value: number) => string> = {
    count: (value) => figure(value, value < 100 ? 1 : 0),
    ms: (value) => (value < 1000 ? `${figure(value, 1)} ms` : `${figure(value / 1000, 2)} s`),
    bytes: (value) => `${figure(value / 1048576, 0)} MiB`,
    cores: (value) => figure(value, 2),
  };
  for (const frame of document.querySelectorAll('[data-plot]')) {
    const plot = data[frame.dataset['plot'] ?? ''];
    if (!plot) continue;
    const { from, to } = plot;
    const told = [...frame.parentElement.querySelectorAll('[data-series]')];
    const usual = told.map((element) => element.textContent);
    const now = document.createElement('div');
    const label = document.createElement('span');
    now.append(label);
    frame.addEventListener('pointermove', ({ clientX }) => {
      const { left, width } = frame.getBoundingClientRect();
      const share = Math.min(1, Math.max(0, (clientX - left) / width));
      const ms = from + share * (to - from);
      let step = 0;
      plot.at.forEach((at, i) => {
        if (Math.abs(at - ms) < Math.abs((plot.at[step] ?? 0) - ms)) step = i;
      });
      const at = plot.at[step] ?? 0;
      now.className = share > 0.75 ? 'now left' : 'now';
      now.style.left = `${((at - from) / (to - from)) * 100}%`;
      label.textContent = `${(at / 1000).toFixed(1)} s`;
      if (!frame.contains(now)) frame.append(now);
      for (const element of told) {
        const value = plot.values[Number(element.dataset['series'])]?.[step];
        const format = formats[plot.unit];
        element.textContent = typeof value === 'number' && format ? format(value) : '–';
      }
    });
    frame.addEventListener('pointerleave', () => {
      now.remove();
      told.forEach((element, i) => {
        element.textContent = usual[i] ?? '';
      });
    });
  }
}
