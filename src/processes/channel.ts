/** One end of a process' channel: `process` in a child, the ChildProcess in its parent. */
export type ChannelEnd = {
  connected?: boolean;
  send?(message: unknown, callback: (error: Error | null) => void): boolean;
  on(event: 'message', listener: (message: unknown) => void): unknown;
  on(event: 'disconnect', listener: () => void): unknown;
};

/** What an end answers, by topic. */
export type Handlers = Record<string, (payload: never) => unknown>;

export type Channel = {
  /** Asks the other end; rejects with what its handler threw, or when the channel ends first. */
  ask<T>(topic: string, payload?: unknown): Promise<T>;
  /** Resolves when the other end is gone. */
  ended: Promise<void>;
};

type Ask = { id: number; topic: string; payload: unknown };
type Answer = { id: number } & ({ value: unknown } | { error: Record<string, unknown> });

/** Questions and answers, both ways, over the channel between a process and its child. */
export function openChannel(end: ChannelEnd, handlers: Handlers): Channel {
  const waiting = new Map<number, PromiseWithResolvers<unknown>>();
  const ended = Promise.withResolvers<void>();
  let asked = 0;

  end.on('message', (message) => {
    const parcel = message as Ask | Answer;
    if ('topic' in parcel) void answer(parcel);
    else settle(parcel);
  });
  end.on('disconnect', () => {
    for (const waiter of waiting.values()) waiter.reject(gone());
    waiting.clear();
    ended.resolve();
  });

  function settle(parcel: Answer): void {
    const waiter = waiting.get(parcel.id);
    waiting.delete(parcel.id);
    if ('value' in parcel) waiter?.resolve(parcel.value);
    else waiter?.reject(Object.assign(new Error(), parcel.error));
  }

  async function answer({ id, topic, payload }: Ask): Promise<void> {
    let parcel: Answer;
    try {
      const handler = handlers[topic];
      if (!handler) throw new Error(`bug: nobody answers "${topic}"`);
      parcel = { id, value: await handler(payload as never) };
    } catch (error) {
      parcel = { id, error: errorFields(error) };
    }
    send(parcel, () => {}); // An end that is gone waits for no answer.
  }

  function send(parcel: Ask | Answer, onError: () => void): void {
    if (!end.connected || !end.send) {
      onError();
      return;
    }
    end.send(parcel, (error) => {
      if (error) onError();
    });
  }

  return {
    ask<T>(topic: string, payload?: unknown): Promise<T> {
      const waiter = Promise.withResolvers<unknown>();
      asked += 1;
      const id = asked;
      waiting.set(id, waiter);
      send({ id, topic, payload }, () => {
        waiting.delete(id);
        waiter.reject(gone());
      });
      return waiter.promise as Promise<T>;
    },
    ended: ended.promise,
  };
}

/** Told as an outage: whoever waited knows nothing of the outcome. */
function gone(): Error {
  return Object.assign(new Error('the other process is gone'), { code: 'EPIPE' });
}

/** What of an error can cross: its words, and its plain fields such as a code. */
function errorFields(error: unknown): Record<string, unknown> {
  if (!(error instanceof Error)) return { message: String(error) };
  const { name, message, stack, ...fields } = error;
  const plain = Object.entries(fields).filter(([, value]) => {
    return typeof value === 'string' || typeof value === 'number';
  });
  return { ...Object.fromEntries(plain), name, message, stack };
}
