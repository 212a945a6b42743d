import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

/**
 * A pooler as PgBouncer is in transaction mode, as far as the ledger can tell: it refuses the start-up
 * parameters that PgBouncer refuses, has numbers of its own for connections, and gives each transaction
 * another session of the server. For servers that trust loopback.
 */
export type Pooler = {
  url: string;
  /** The start-up parameters that were refused. */
  refused(): string[];
  close(): Promise<void>;
};

/** What PgBouncer takes without `ignore_startup_parameters`. */
const takenParameters = [
  ...['user', 'database', 'client_encoding', 'application_name'],
  ...['datestyle', 'timezone', 'standard_conforming_strings'],
];
const sessionsMax = 3;
const fakePid = 2_000_000_000;

type Session = { socket: Socket; client: Socket | undefined; send(chunk: Buffer): void };

export async function startPooler(serverUrl: string): Promise<Pooler> {
  const target = new URL(serverUrl);
  const refused: string[] = [];
  const clients = new Set<Socket>();
  const waiting: { client: Socket; chunk: Buffer }[] = [];
  const sessions = await Promise.all(
    Array.from({ length: sessionsMax }, () => openSession(target, attachNext)),
  );
  const attached = new Map<Socket, Session>();

  /** Gives a free session to the client that has waited longest; the session used last comes last. */
  function attachNext(free: Session): void {
    if (free.client) attached.delete(free.client);
    free.client = undefined;
    sessions.push(...sessions.splice(sessions.indexOf(free), 1));
    const next = waiting.shift();
    if (next) hand(next.client, next.chunk);
  }

  function hand(client: Socket, chunk: Buffer): void {
    const session = attached.get(client) ?? sessions.find((one) => !one.client);
    if (!session) return void waiting.push({ client, chunk });
    session.client = client;
    attached.set(client, session);
    session.send(chunk);
  }

  function begin(client: Socket, startUp: Buffer): void {
    const words = startUp.subarray(8, -2).toString().split('\0');
    const names = words.filter((_, n) => n % 2 === 0);
    const foreign = names.find((name) => !takenParameters.includes(name.toLowerCase()));
    if (foreign !== undefined) {
      refused.push(foreign);
      const text = `SFATAL\0VFATAL\0C08P01\0Munsupported startup parameter: ${foreign}\0\0`;
      client.end(message('E', Buffer.from(text)));
      return;
    }
    const key = Buffer.alloc(8);
    key.writeInt32BE(fakePid);
    client.write(
      Buffer.concat([
        message('R', Buffer.alloc(4)),
        message('K', key),
        message('Z', Buffer.from('I')),
      ]),
    );
    client.on('data', (chunk) => {
      if (chunk[0] === 'X'.charCodeAt(0)) client.end();
      else hand(client, chunk);
    });
  }

  const server = createServer((client) => {
    clients.add(client);
    client.setNoDelay(true);
    client.on('error', () => client.destroy());
    client.on('close', () => clients.delete(client));
    client.once('data', (startUp) => begin(client, startUp));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const url = new URL(serverUrl);
  url.port = String(typeof address === 'object' && address ? address.port : 0);
  return {
    url: url.href,
    refused: () => refused,
    async close() {
      for (const socket of [...clients, ...sessions.map((one) => one.socket)]) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** A session of the server; `onIdle` is called whenever a transaction on it has ended. */
async function openSession(
  { hostname, port, username, pathname }: URL,
  onIdle: (session: Session) => void,
): Promise<Session> {
  const socket = connect({ host: hostname, port: Number(port) });
  socket.setNoDelay(true);
  const words = ['user', username, 'database', pathname.slice(1), '', ''].join('\0');
  const head = Buffer.alloc(8);
  head.writeInt32BE(8 + words.length);
  head.writeInt32BE(0x0003_0000, 4);
  socket.write(Buffer.concat([head, Buffer.from(words)]));
  const session: Session = { socket, client: undefined, send: (chunk) => void socket.write(chunk) };
  const ready = Promise.withResolvers<void>();
  let rest = Buffer.alloc(0);
  let isOpen = false;
  socket.on('error', ready.reject);
  socket.on('data', (chunk) => {
    if (isOpen) session.client?.write(chunk);
    rest = Buffer.concat([rest, chunk]);
    let isIdle = false;
    while (rest.length >= 5 && rest.length > rest.readInt32BE(1)) {
      const end = 1 + rest.readInt32BE(1);
      if (rest[0] === 'Z'.charCodeAt(0)) isIdle = rest[5] === 'I'.charCodeAt(0);
      rest = rest.subarray(end);
    }
    if (!isIdle) return;
    if (isOpen) onIdle(session);
    isOpen = true;
    ready.resolve();
  });
  await ready.promise;
  return session;
}

function message(type: string, body: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.write(type);
  head.writeInt32BE(4 + body.length, 1);
  return Buffer.concat([head, body]);
}
