import type { AddressInfo } from 'node:net';
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
 * Connections that may wait to be taken on. Of a crowd that comes in one instant, those beyond are
 * dropped by the system and try again after one second, then three, then seven.
 */
const backlog = 4_096;

/** Elsewhere a port has one listening socket, of one process. */
export const canSharePort = process.platform === 'linux';

/** How often a stop looks for connections that have been answered. */
const lookMs = 50;

const draining = new WeakSet<object>();

export function isDraining(app: FastifyInstance): boolean {
  return draining.has(app.server);
}

/**
 * Listens with an app; with `reusePort` through several doors, and beside other processes that do so
 * too. Rejects with the system's error, such as EADDRINUSE for a busy port.
 */
export async function listen(
  app: FastifyInstance,
  options: { host: string; port: number; reusePort?: boolean },
): Promise<Server> {
  await app.listen({ ...options, backlog });
  const { port } = app.server.address() as AddressInfo;
  const doors: ExtraListeners | undefined = options.reusePort
    ? await openExtraListeners(app.server, { host: options.host, port, backlog })
    : undefined;
  const host = options.host.includes(':') ? `[${options.host}]` : options.host;

  return {
    address: `http://${host}:${port}`,
    port,
    async stop({ quietMs = 0, drainMs = 10_000 } = {}) {
      // Quiet first: whoever balances load sees /readyz and sends no more before doors close.
      draining.add(app.server);
      if (quietMs > 0) await new Promise((resolve) => setTimeout(resolve, quietMs));
      const deadline = setTimeout(() => app.server.closeAllConnections(), drainMs);
      // The closing server looks once; whoever has their answer later would stay to the deadline.
      const leaving = setInterval(() => app.server.closeIdleConnections(), lookMs);
      try {
        await Promise.all([app.close(), doors?.close()]);
      } finally {
        clearTimeout(deadline);
        clearInterval(leaving);
      }
    },
  };
}
