import type { FastifyInstance } from 'fastify';
import { type ExtraListeners, openExtraListeners } from './extra-listeners.ts';

export type Server = {
  /** Where it listens, such as http://127.0.0.1:8080. */
  address: string;
  port: number;
  /** Finishes what is in flight, then closes; at the deadline closes what is left. */
  stop(options?: { quietMs?: number; drainMs?: number }): Promise<void>;
};

/**
 * Connections that may wait to be accepted. Of those that arrive in one instant, the system drops the
 * ones beyond this, and their clients retry after one second, then three, then seven.
 */
const backlog = 4_096;

/** Whether several sockets and processes may listen on one port; only Linux balances them. */
export const canSharePort = process.platform === 'linux';

/** How often a stop closes connections that have become idle. */
const closeIdleMs = 50;

const draining = new WeakSet<object>();

export function isDraining(app: FastifyInstance): boolean {
  return draining.has(app.server);
}

/**
 * Listens with an app. With `reusePort` it opens several sockets, and other processes may listen on
 * the same port. Rejects with the system's error, such as EADDRINUSE for a port in use.
 */
export async function listen(
  app: FastifyInstance,
  options: { host: string; port: number; reusePort?: boolean },
): Promise<Server> {
  await app.listen({ ...options, backlog });
  const port = portOf(app);
  const listeners: ExtraListeners | undefined = options.reusePort
    ? await openExtraListeners(app.server, { host: options.host, port, backlog })
    : undefined;
  const host = options.host.includes(':') ? `[${options.host}]` : options.host;

  return {
    address: `http://${host}:${port}`,
    port,
    async stop({ quietMs = 0, drainMs = 10_000 } = {}) {
      // Load balancers see /readyz and stop sending before the sockets close.
      draining.add(app.server);
      if (quietMs > 0) await new Promise((resolve) => setTimeout(resolve, quietMs));
      const deadline = setTimeout(() => app.server.closeAllConnections(), drainMs);
      // app.close() closes idle connections once; those answered later would stay to the deadline.
      const closingIdle = setInterval(() => app.server.closeIdleConnections(), closeIdleMs);
      try {
        await Promise.all([app.close(), listeners?.close()]);
      } finally {
        clearTimeout(deadline);
        clearInterval(closingIdle);
      }
    },
  };
}

/** The port that an app listens on, which the system chose if it was asked for port 0. */
function portOf(app: FastifyInstance): number {
  const address = app.server.address();
  if (address === null || typeof address === 'string') throw new Error('bug: no TCP port');
  return address.port;
}
