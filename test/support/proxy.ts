import { connect, createServer, type Socket } from 'node:net';

/**
 * What the proxy does with a link.
 * - pass: hands everything on
 * - delay: hands everything on, each way `delayMs` later
 * - blackhole: takes everything and hands on nothing, and keeps the sockets open
 * - reset: tears down what is open and refuses what comes
 */
export type ProxyMode = 'pass' | 'delay' | 'blackhole' | 'reset';

export type TcpProxy = {
  host: string;
  port: number;
  set(mode: ProxyMode, options?: { delayMs?: number }): void;
  /** Links from now on lead to another server, as behind an address that moves; open ones stay. */
  leadTo(target: { host: string; port: number }): void;
  /**
   * Lets the server run what it is sent but cuts the link in place of its nth reply from now on
   * (1 is the next), counted in chunks the server sends over all links. Later links pass.
   */
  cutBeforeReply(nth: number): void;
  /** Replies cut so far. */
  cuts(): number;
  links(): number;
  close(): Promise<void>;
};

/** A piece of a stream on its way, and when it is due. */
type Late = { chunk: Buffer; at: number };

/** A TCP proxy on loopback in front of a server, to make a network fail on demand. */
export async function startProxy(first: { host: string; port: number }): Promise<TcpProxy> {
  let target = first;
  const links = new Set<{ client: Socket; upstream: Socket }>();
  const late = new WeakMap<Socket, Late[]>();
  let mode: ProxyMode = 'pass';
  let delayMs = 0;
  let repliesUntilCut = 0;
  let cuts = 0;

  const server = createServer((client) => {
    if (mode === 'reset') {
      client.resetAndDestroy();
      return;
    }
    const upstream = connect(target);
    const link = { client, upstream };
    links.add(link);
    const end = () => {
      links.delete(link);
      client.destroy();
      upstream.destroy();
    };
    for (const socket of [client, upstream]) {
      socket.setNoDelay(true);
      socket.on('error', end);
      socket.on('close', end);
    }
    client.on('data', (chunk) => forward(chunk, upstream));
    upstream.on('data', (chunk) => {
      if (repliesUntilCut > 0 && --repliesUntilCut === 0) {
        cuts += 1;
        client.resetAndDestroy();
        upstream.destroy();
        return;
      }
      forward(chunk, client);
    });
  });

  function forward(chunk: Buffer, to: Socket): void {
    if (mode === 'blackhole') return;
    const queue = late.get(to) ?? [];
    late.set(to, queue);
    if (mode !== 'delay' && queue.length === 0) {
      to.write(chunk);
      return;
    }
    // What comes later never overtakes: a network delays a stream, it does not shuffle it.
    const waitMs = mode === 'delay' ? delayMs : 0;
    queue.push({ chunk, at: Math.max(performance.now() + waitMs, queue.at(-1)?.at ?? 0) });
    if (queue.length === 1) deliver(queue, to);
  }

  function deliver(queue: Late[], to: Socket): void {
    const first = queue[0];
    if (!first || to.destroyed) return;
    setTimeout(() => {
      if (!to.destroyed) to.write(first.chunk);
      queue.shift();
      deliver(queue, to);
    }, first.at - performance.now());
  }

  function tearDown(): void {
    for (const { client, upstream } of links) {
      client.resetAndDestroy();
      upstream.destroy();
    }
  }

  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('bug: no TCP address');

  return {
    host: '127.0.0.1',
    port: address.port,
    set(next, options) {
      mode = next;
      delayMs = options?.delayMs ?? 0;
      if (next === 'reset') tearDown();
    },
    leadTo(next) {
      target = next;
    },
    cutBeforeReply(nth) {
      repliesUntilCut = nth;
    },
    cuts: () => cuts,
    links: () => links.size,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        tearDown();
      }),
  };
}
