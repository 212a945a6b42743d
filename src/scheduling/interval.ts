import { setTimeout as wait } from 'node:timers/promises';

/** Work that is done again and again: a turn, a nap, a turn. */
export type Interval = {
  start(): void;
  /** Resolves when the turn in hand is over. */
  stop(): Promise<void>;
  /** Aborted by the stop. */
  signal: AbortSignal;
};

/** The naps are spread, so that processes do not march in step; a turn that fails is one of many. */
export function openInterval(options: {
  turn(): Promise<unknown>;
  everyMs: number;
  onError(error: unknown): void;
}): Interval {
  const { turn, everyMs, onError } = options;
  const stopping = new AbortController();
  const { signal } = stopping;
  let loop: Promise<void> | undefined;

  async function run(): Promise<void> {
    while (!signal.aborted) {
      await turn().catch(onError);
      const spreadMs = everyMs * (0.75 + Math.random() / 2);
      await wait(spreadMs, undefined, { signal }).catch(() => {});
    }
  }

  return {
    start() {
      loop ??= run();
    },
    async stop() {
      stopping.abort();
      await loop;
    },
    signal,
  };
}
