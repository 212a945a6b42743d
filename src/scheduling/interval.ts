import { setImmediate as yieldOnce } from 'node:timers/promises';

/** A task that runs at an interval until it is stopped. One run at a time, never two. */
export type Interval = {
  /** May be called again after a stop; does nothing while it runs. */
  start(): void;
  /** Ends the pause and resolves when the current run is over. */
  stop(): Promise<void>;
  /** Ends the pause, so that the next run begins now; during a run, another follows at once. */
  wake(): void;
  /** Aborted by the stop, renewed by a start after it. */
  readonly signal: AbortSignal;
};

/** A run may return another length of the pause after it, ms; 0 for none. */
export type RunResult = { pauseMs: number } | undefined;

export type IntervalOptions = {
  // biome-ignore lint/suspicious/noConfusingVoidType: most tasks return nothing.
  run(): Promise<RunResult | void>;
  /** The pause between two runs, ms, before jitter. */
  everyMs: number;
  /** The width of the random range, as a share of `everyMs`: 0.5 stands for 75 to 125 % of it. */
  jitter?: number | undefined;
  /** The pause after a failed run, ms, by the number of failures in a row; `everyMs` when absent. */
  failurePauseMs?: ((failures: number) => number) | undefined;
  /** Begin with a pause. */
  pausesFirst?: boolean | undefined;
  /** False lets the process end while it pauses. */
  keepsProcessAlive?: boolean | undefined;
  /** Called with the error of a failed run and how many have failed in a row. */
  onError(error: unknown, failures: number): void;
};

/**
 * Runs a task at an interval with jitter, so that processes started together do not run it in step.
 * The pause is counted from the end of a run, so a slow task runs less often, not more. Errors go to
 * `onError` and the interval goes on.
 */
export function openInterval(options: IntervalOptions): Interval {
  const { run, everyMs, jitter = 0.5, failurePauseMs, onError } = options;
  const { pausesFirst = false, keepsProcessAlive = true } = options;
  let stopping = new AbortController();
  let loop: Promise<void> | undefined;
  let isWoken = false;
  let endPause = () => {};

  const usualMs = () => everyMs * (1 - jitter / 2 + Math.random() * jitter);

  async function pause(ms: number): Promise<void> {
    if (isWoken || ms === 0) {
      isWoken = false;
      await yieldOnce();
      return;
    }
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      if (!keepsProcessAlive) timer.unref();
      endPause = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    isWoken = false;
    endPause = () => {};
  }

  async function runUntil(signal: AbortSignal): Promise<void> {
    let failures = 0;
    if (pausesFirst && !signal.aborted) await pause(usualMs());
    while (!signal.aborted) {
      let pauseMs = usualMs();
      try {
        pauseMs = (await run())?.pauseMs ?? pauseMs;
        failures = 0;
      } catch (error) {
        failures += 1;
        onError(error, failures);
        pauseMs = failurePauseMs?.(failures) ?? pauseMs;
      }
      if (!signal.aborted) await pause(pauseMs);
    }
  }

  return {
    start() {
      if (loop && !stopping.signal.aborted) return;
      if (stopping.signal.aborted) stopping = new AbortController();
      const { signal } = stopping;
      const before = loop;
      loop = (async () => {
        await before;
        await runUntil(signal);
      })();
    },
    async stop() {
      stopping.abort();
      endPause();
      await loop;
    },
    wake() {
      isWoken = true;
      endPause();
    },
    get signal() {
      return stopping.signal;
    },
  };
}
