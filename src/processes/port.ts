import { createServer } from 'node:net';
import { StartError } from '../start-error.ts';

/**
 * Rejects with EADDRINUSE when a program listens on the port already. Without this check, processes
 * that share a port (SO_REUSEPORT) would share it with another program that does so too.
 * @throws StartError when the address is not one to listen on
 */
export function assertPortFree({ host, port }: { host: string; port: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', (error: NodeJS.ErrnoException) => {
      if (isPortTaken(error)) return reject(error);
      const why = `cannot listen on ${host}:${port} (${error.code})`;
      reject(new StartError(`${why}: choose another --host or --port`));
    });
    probe.listen({ host, port }, () => probe.close(() => resolve()));
  });
}

export function isPortTaken(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EADDRINUSE';
}
