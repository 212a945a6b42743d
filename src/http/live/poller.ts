import { openInterval } from '../../scheduling/interval.ts';
import type { Stream } from './streams.ts';

export const pollEveryMs = 250;

/** Something that streams follow; an implementation adds the state that was sent last. */
export type Polled = { streams: Set<Stream> };

/**
 * Polls all entries together, every `pollEveryMs` while there are any. The next poll is scheduled when
 * the one before has ended, so that a slow store is asked less often, not more.
 */
export function openPoller<Id extends string, T extends Polled>(options: {
  poll(polled: Map<Id, T>): Promise<void>;
  onError(error: unknown): void;
}) {
  const polled = new Map<Id, T>();
  const interval = openInterval({
    async run() {
      await options.poll(polled);
      if (polled.size === 0) void interval.stop();
    },
    everyMs: pollEveryMs,
    pausesFirst: true,
    keepsProcessAlive: false,
    onError: options.onError,
  });

  return {
    /** Adds a stream to an entry, which `make` gives when there is none yet. */
    join(id: Id, stream: Stream, make: () => T): void {
      const entry = polled.get(id) ?? make();
      polled.set(id, entry);
      entry.streams.add(stream);
      interval.start();
    },
    leave(id: Id, stream: Stream): void {
      const entry = polled.get(id);
      entry?.streams.delete(stream);
      if (entry?.streams.size === 0) polled.delete(id);
      if (polled.size === 0) void interval.stop();
    },
  };
}
