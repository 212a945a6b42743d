import type { Moment, UnitsMoment } from '../record/record.ts';
import { count, duration, sinceOpening } from './words.ts';

/** The steps of a run, in order, as they are printed. */
const phases = {
  start: 'starting the engine',
  gather: 'gathering the crowd',
  import: 'importing appointments',
  wait: 'waiting for the opening',
  sale: 'sale',
  settle: 'settling',
  audit: 'audit',
} as const;
export type Phase = keyof typeof phases;

export type Terminal = {
  /** A new step begins; the one before is printed with its duration. */
  phase(phase: Phase, detail?: string): void;
  /** The progress of the step, such as buyers with tokens. */
  progress(done: number, of: number): void;
  moment(moment: Moment): void;
  /** A line that stays. */
  say(text: string): void;
  /** The last step is over, successful or not. */
  end(): void;
};

type Out = { write(text: string): unknown; isTTY?: boolean; columns?: number };

const redrawMs = 100;
const lineEveryMs = 5_000;
const sparkSteps = 40;
const barWidth = 32;
const blocks = '▁▂▃▄▅▆▇█';

/**
 * Prints a run: on a terminal one block that is redrawn, elsewhere a line every few seconds.
 */
export function openTerminal(options: {
  units: number;
  out?: Out;
  clock?: () => number;
}): Terminal {
  const { units, out = process.stdout, clock = () => performance.now() } = options;
  const live = out.isTTY === true;
  let current: { phase: Phase; detail: string; since: number } | undefined;
  let progress: { done: number; of: number } | undefined;
  let moments: Moment[] = [];
  let drawnLines = 0;
  let drawnAt = Number.NEGATIVE_INFINITY;

  function draw(now: boolean): void {
    if (!current || (!now && clock() - drawnAt < (live ? redrawMs : lineEveryMs))) return;
    drawnAt = clock();
    if (!live) return void out.write(`${[...statusLine(), ...momentLine()].join('  ')}\n`);
    clear();
    const lines = [statusLine().join('  '), ...block()].map(fit);
    out.write(lines.map((line) => `${line}\n`).join(''));
    drawnLines = lines.length;
  }

  function clear(): void {
    if (drawnLines > 0) out.write(`\x1b[${drawnLines}A\x1b[0J`);
    drawnLines = 0;
  }

  /** Longer lines would wrap, and the block could not be found again. */
  function fit(line: string): string {
    const columns = out.columns ?? 80;
    return line.length < columns ? line : `${line.slice(0, columns - 2)}…`;
  }

  function statusLine(): string[] {
    if (!current) return [];
    const { phase, detail, since } = current;
    const parts = [phases[phase], ...(detail ? [detail] : [])];
    if (progress) parts.push(`${count(progress.done)} of ${count(progress.of)}`);
    if (live) parts.push(duration(clock() - since));
    return parts;
  }

  function momentLine(): string[] {
    const last = moments.at(-1);
    if (!last) return [];
    const { latency } = last;
    const stock = knownUnits();
    const p99 = latency.buy_accepted?.p99 ?? latency.buy_refused?.p99;
    return [
      sinceOpening(last.atMs + last.stepMs),
      `${count(rate(last, last.scheduled))} arrivals/s`,
      `${count(rate(last, last.accepted))} accepted/s`,
      ...(stock ? [`${count(stock.available)} left`] : []),
      ...(p99 === undefined ? [] : [`p99 ${duration(p99)}`]),
    ];
  }

  /** Not every step has a reading of the stock. */
  function knownUnits(): UnitsMoment | undefined {
    return moments.findLast(({ engine }) => engine?.units)?.engine?.units;
  }

  function block(): string[] {
    const last = moments.at(-1);
    if (!last) return [];
    const { latency } = last;
    const stock = knownUnits();
    const row = (name: string, text: string) => `  ${name.padEnd(10)} ${text}`;
    const spark = (of: (moment: Moment) => number) =>
      sparkline(moments.map((moment) => rate(moment, of(moment)))).padEnd(sparkSteps);
    const p99 = (['buy_accepted', 'buy_refused', 'look'] as const).flatMap((action) => {
      const seen = latency[action];
      return seen ? [`${action.replace('buy_', '')} ${duration(seen.p99)}`] : [];
    });
    return [
      row('clock', sinceOpening(last.atMs + last.stepMs)),
      row('arrivals', `${spark((m) => m.scheduled)} ${count(rate(last, last.scheduled))}/s`),
      row('accepted', `${spark((m) => m.accepted)} ${count(rate(last, last.accepted))}/s`),
      ...(stock ? [row('stock', stockBar(stock, units))] : []),
      row('p99', p99.join(' · ') || '–'),
    ];
  }

  function closePhase(): void {
    if (!current) return;
    clear();
    const { phase, detail, since } = current;
    // Without a terminal the step was printed when it began.
    const mark = live ? `✓ ${phases[phase]}` : `  ${phases[phase]} took`;
    const what = live && detail ? `  ${detail}` : '';
    out.write(`${mark}${what}${live ? '  ' : ' '}${duration(clock() - since)}\n`);
    current = undefined;
  }

  return {
    phase(phase, detail = '') {
      closePhase();
      progress = undefined;
      moments = phase === 'sale' || phase === 'settle' ? moments : [];
      current = { phase, detail, since: clock() };
      draw(true);
    },
    progress(done, of) {
      progress = { done, of };
      draw(false);
    },
    moment(moment) {
      moments = [...moments.slice(1 - sparkSteps), moment];
      draw(false);
    },
    say(text) {
      clear();
      out.write(`${text}\n`);
      if (live) draw(true);
    },
    end: closePhase,
  };
}

function rate(moment: Moment, n: number): number {
  return (n * 1_000) / moment.stepMs;
}

/** One character a value, the highest a full block; nothing at all is a space. */
export function sparkline(values: readonly number[]): string {
  const most = Math.max(...values, 0);
  const level = (value: number) => Math.min(7, Math.floor((value / most) * 8));
  return values.map((value) => (value <= 0 ? ' ' : blocks[level(value)])).join('');
}

function stockBar(
  { available, held, sold }: { available: number; held: number; sold: number },
  units: number,
): string {
  const width = (n: number) => Math.round((n / Math.max(units, 1)) * barWidth);
  const gone = Math.min(barWidth, width(sold));
  const kept = Math.min(barWidth - gone, width(held));
  const bar = '█'.repeat(gone) + '▒'.repeat(kept) + '·'.repeat(barWidth - gone - kept);
  return `${bar} ${count(available)} left · ${count(held)} held · ${count(sold)} sold`;
}
