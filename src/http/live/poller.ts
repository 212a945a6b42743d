import type { Stream } from './streams.ts';

export const pollEveryMs = 250;

/** Something that streams follow: what it last looked like, and who wants to know. */
export type Polled = { streams: Set<Stream> };

/**
 * Looks at all polled things together, again and again while there are any. The next look starts
 * when the one before has ended, so a slow store is asked less often, not more.
 */
export function openPoller<Id extends string, T extends Polled>(options: {
  poll(polled: Map<Id, T>): Promise<void>;
  onError(error: unknown): void;
}) {
  const polled = new Map<Id, T>();
  let looking = false;

  async function turn(): Promise<void> {
    try {
      await options.poll(polled);
    } catch (error) {
      options.onError(error);
    }
    looking = polled.size > 0;
    if (looking) setTimeout(turn, pollEveryMs).unref();
  }

  return {
    join(id: Id, stream: Stream, make: () => T): void {
      let entry = polled.get(id);
      if (!entry) {
        entry = make();
        polled.set(id, entry);
      }
      entry.streams.add(stream);
      if (looking) return;
      looking = true;
      setTimeout(turn, pollEveryMs).unref();
    },
    leave(id: Id, stream: Stream): void {
      const entry = polled.get(id);
      entry?.streams.delete(stream);
      if (entry?.streams.size === 0) polled.delete(id);
    },
  };
}
