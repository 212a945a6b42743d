import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import {
  type ExtraListeners,
  openExtraListeners,
} from '../../../src/http/server/extra-listeners.ts';
import { canSharePort } from '../../../src/http/server/server.ts';
import { eventually } from '../../support/eventually.ts';

const host = '127.0.0.1';
const backlog = 4_096;
let server: Server | undefined;
let listeners: ExtraListeners | undefined;
let clients: Socket[] = [];

afterEach(async () => {
  for (const client of clients) client.destroy();
  clients = [];
  server?.close();
  await listeners?.close();
  [server, listeners] = [undefined, undefined];
});

async function openServer(maxConnections: number) {
  const opened = createServer();
  server = opened;
  opened.maxConnections = maxConnections;
  opened.listen({ host, port: 0, backlog, reusePort: true });
  await once(opened, 'listening');
  const { port } = opened.address() as AddressInfo;
  listeners = await openExtraListeners(opened, { host, port, backlog });
  const inside = new Set<Socket>();
  opened.on('connection', (socket: Socket) => {
    inside.add(socket);
    socket.on('error', () => {}).on('close', () => inside.delete(socket));
    // As node:http does, for whoever only says goodbye.
    socket.on('end', () => socket.destroy()).resume();
  });
  return { inside, port };
}

function arrive(port: number, count: number): void {
  for (let n = 0; n < count; n += 1) clients.push(connect({ host, port }).on('error', () => {}));
}

const sharing = test.skipIf(!canSharePort);

sharing('A busy process accepts several connections in each turn of its event loop', async () => {
  const { inside, port } = await openServer(1_000);
  arrive(port, 200);
  let turns = 0;
  await new Promise<void>((resolve) => {
    const turn = () => {
      turns += 1;
      if (inside.size === 200 || turns > 1_000) resolve();
      else setImmediate(turn);
    };
    setImmediate(turn);
  });
  expect(inside.size).toBe(200);
  expect(turns).toBeLessThan(150);
});

sharing(
  'Connections beyond maxConnections are closed, whichever listener accepted them',
  async () => {
    const { inside, port } = await openServer(5);
    arrive(port, 60);
    const gone = () => clients.filter((client) => client.closed).length;
    await eventually(() => gone() === 55 && inside.size === 5);
  },
);

sharing(
  'Closed listeners accept no connections, and close resolves when the last connection has ended',
  async () => {
    const { inside, port } = await openServer(1_000);
    arrive(port, 40);
    await eventually(() => inside.size === 40);
    server?.close();
    let closed = false;
    const closing = listeners?.close().then(() => {
      closed = true;
    });
    listeners = undefined;
    const late = connect({ host, port });
    await expect(once(late, 'connect')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    expect(closed).toBe(false);
    for (const socket of inside) socket.destroy();
    await closing;
  },
);
