import type { Stream } from './streams.ts';

export const lookEveryMs = 250;

/** Something that streams follow: what it last looked like, and who wants to know. */
export type Watched = { streams: Set<Stream> };

/**
 * Looks at all watched things together, again and again while there are any. The next look starts
 * when the one before has ended, so a slow store is asked less often, not more.
 */
export function openWatch<T extends Watched>(options: {
  look(watched: Map<string, T>): Promise<void>;
  onError(error: unknown): void;
}) {
  const watched = new Map<string, T>();
  let looking = false;

  async function turn(): Promise<void> {
    try {
      await options.look(watched);
    } catch (error) {
      options.onError(error);
    }
    looking = watched.size > 0;
    if (looking) setTimeout(turn, lookEveryMs).unref();
  }

  return {
    join(id: string, stream: Stream, make: () => T): void {
      let entry = watched.get(id);
      if (!entry) {
        entry = make();
        watched.set(id, entry);
      }
      entry.streams.add(stream);
      if (looking) return;
      looking = true;
      setTimeout(turn, lookEveryMs).unref();
    },
    leave(id: string, stream: Stream): void {
      const entry = watched.get(id);
      entry?.streams.delete(stream);
      if (entry?.streams.size === 0) watched.delete(id);
    },
  };
}
