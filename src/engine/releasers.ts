import type { Logger } from '../log.ts';

/** Closes what was opened in the reverse order, also when a start fails half-way. */
export type Releasers = {
  add(what: string, release: () => unknown): void;
  /** Closes everything; a failure is logged, and the rest is still closed. */
  run(): Promise<void>;
};

export function openReleasers(log: Logger): Releasers {
  const opened: { what: string; release: () => unknown }[] = [];
  return {
    add(what, release) {
      opened.push({ what, release });
    },
    async run() {
      for (let last = opened.pop(); last; last = opened.pop()) {
        try {
          await last.release();
        } catch (error) {
          log.error({ err: error, what: last.what }, 'closing failed');
        }
      }
    },
  };
}
