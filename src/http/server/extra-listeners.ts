import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';

/**
 * Listening sockets of one process. libuv accepts one connection per listening socket and turn of the
 * event loop. In a busy process a turn takes 10 ms and more, so one socket would accept about a
 * hundred connections a second while clients that are already connected send more requests.
 */
const listenersMax = 16;

export type ExtraListeners = {
  /** Resolves when all extra sockets are closed and their connections have ended. */
  close(): Promise<void>;
};

/**
 * Opens further listening sockets on the port that `server` shares (SO_REUSEPORT). The operating
 * system spreads connections over them. `server` handles every connection as its own, and all count
 * against its `maxConnections`. Rejects with the system's error when a socket cannot listen.
 */
export async function openExtraListeners(
  server: Server,
  address: { host: string; port: number; backlog: number },
): Promise<ExtraListeners> {
  const { maxConnections } = server;
  let connections = 0;
  server.on('connection', (socket: Socket) => {
    connections += 1;
    socket.once('close', () => {
      connections -= 1;
    });
    if (connections > maxConnections) socket.destroy();
  });

  const listeners = Array.from({ length: listenersMax - 1 }, () => {
    // With the options that node:http gives its own socket.
    const listener = createServer({ allowHalfOpen: true, noDelay: true });
    listener.on('connection', (socket) => server.emit('connection', socket));
    return listener;
  });
  await Promise.all(
    listeners.map((listener) => {
      listener.listen({ ...address, reusePort: true });
      return once(listener, 'listening');
    }),
  );

  return {
    async close() {
      await Promise.all(
        listeners.map((listener) => {
          const closed = once(listener, 'close');
          listener.close();
          return closed;
        }),
      );
    },
  };
}
