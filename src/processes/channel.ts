/** One end of the IPC channel between two processes: `process` in a child, the ChildProcess in its parent. */
export type ChannelEnd = {
  connected?: boolean;
  send?(message: unknown, callback: (error: Error | null) => void): boolean;
  on(event: 'message', listener: (message: RequestMessage | ResponseMessage) => void): unknown;
  on(event: 'disconnect', listener: () => void): unknown;
};

/** Handles requests from the other end, by topic. */
export type Handlers = Record<string, (payload: never) => unknown>;

export type Channel = {
  /** Sends a request; rejects with the handler's error, or with code EPIPE when the channel closes first. */
  ask<T>(topic: string, payload?: unknown): Promise<T>;
  /** Resolves when the channel has closed. */
  ended: Promise<void>;
};

type RequestMessage = { id: number; topic: string; payload: unknown };
type ResponseMessage = { id: number } & ({ value: unknown } | { error: Record<string, unknown> });

/** Requests and responses in both directions over the channel between a process and its child. */
export function openChannel(end: ChannelEnd, handlers: Handlers): Channel {
  const waiting = new Map<number, PromiseWithResolvers<unknown>>();
  const ended = Promise.withResolvers<void>();
  let sent = 0;

  end.on('message', (message) => {
    if ('topic' in message) void respond(message);
    else settle(message);
  });
  end.on('disconnect', () => {
    for (const waiter of waiting.values()) waiter.reject(closed());
    waiting.clear();
    ended.resolve();
  });

  function settle(response: ResponseMessage): void {
    const waiter = waiting.get(response.id);
    waiting.delete(response.id);
    if ('value' in response) waiter?.resolve(response.value);
    else waiter?.reject(Object.assign(new Error(), response.error));
  }

  async function respond({ id, topic, payload }: RequestMessage): Promise<void> {
    let response: ResponseMessage;
    try {
      const handler = handlers[topic];
      if (!handler) throw new Error(`bug: no handler for "${topic}"`);
      response = { id, value: await handler(payload as never) };
    } catch (error) {
      response = { id, error: errorFields(error) };
    }
    send(response, () => {}); // When the other end is gone, nothing waits for the response.
  }

  function send(message: RequestMessage | ResponseMessage, onError: () => void): void {
    if (!end.connected || !end.send) {
      onError();
      return;
    }
    end.send(message, (error) => {
      if (error) onError();
    });
  }

  return {
    ask<T>(topic: string, payload?: unknown): Promise<T> {
      const waiter = Promise.withResolvers<unknown>();
      sent += 1;
      const id = sent;
      waiting.set(id, waiter);
      send({ id, topic, payload }, () => {
        waiting.delete(id);
        waiter.reject(closed());
      });
      return waiter.promise as Promise<T>;
    },
    ended: ended.promise,
  };
}

/** The code makes it an outage: the outcome of the request is unknown. */
function closed(): Error {
  return Object.assign(new Error('the channel to the other process has closed'), { code: 'EPIPE' });
}

/** The fields of an error that are sent: message, stack, and plain fields such as a code. */
function errorFields(error: unknown): Record<string, unknown> {
  if (!(error instanceof Error)) return { message: String(error) };
  const { name, message, stack, ...fields } = error;
  const plain = Object.entries(fields).filter(([, value]) => {
    return typeof value === 'string' || typeof value === 'number';
  });
  return { ...Object.fromEntries(plain), name, message, stack };
}
