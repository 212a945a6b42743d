import type { Socket } from 'node:net';

const importing = new WeakSet<Socket>();

/** Whether a list is being imported on a connection: it may take longer than any other request. */
export function isImporting(socket: Socket): boolean {
  return importing.has(socket);
}

/** Exempts a connection from the request time-out while `work` runs. It is still closed when idle. */
export async function whileImporting<T>(socket: Socket, work: () => Promise<T>): Promise<T> {
  importing.add(socket);
  try {
    return await work();
  } finally {
    importing.delete(socket);
  }
}
