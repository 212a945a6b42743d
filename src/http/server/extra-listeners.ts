import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';

/**
 * Of the connections that wait at a listening socket, libuv takes on one a turn of the event loop. In
 * a busy process a turn is 10 ms and more: a crowd that arrives in one instant would be let in at a
 * hundred a second, behind those who came first and press again.
 */
const listenersMax = 16;

export type ExtraListeners = {
  /** Resolves when no door is open any more and nobody who came through one is left. */
  close(): Promise<void>;
};

/**
 * Further listening sockets of one process on the port that `server` shares (SO_REUSEPORT). The
 * system spreads connections over them; whoever comes through one is the server's as any other, and
 * counts against its `maxConnections`.
 */
export async function openExtraListeners(
  server: Server,
  address: { host: string; port: number; backlog: number },
): Promise<ExtraListeners> {
  const most = server.maxConnections;
  let inside = 0;
  server.on('connection', (socket: Socket) => {
    inside += 1;
    socket.once('close', () => {
      inside -= 1;
    });
    if (inside > most) socket.destroy();
  });

  const doors = Array.from({ length: listenersMax - 1 }, () => {
    // As node:http makes its own.
    const door = createServer({ allowHalfOpen: true, noDelay: true });
    door.on('connection', (socket) => server.emit('connection', socket));
    return door;
  });
  await Promise.all(
    doors.map((door) => {
      door.listen({ ...address, reusePort: true });
      return once(door, 'listening');
    }),
  );

  return {
    async close() {
      await Promise.all(
        doors.map((door) => {
          const closed = once(door, 'close');
          door.close();
          return closed;
        }),
      );
    },
  };
}
