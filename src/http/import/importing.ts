import type { Socket } from 'node:net';

const importing = new WeakSet<Socket>();

/** Whether a list is arriving on a connection: it may take longer than any other request. */
export function isImporting(socket: Socket): boolean {
  return importing.has(socket);
}

/** Lets a request take its time while `work` goes on. A connection that falls silent is closed all the same. */
export async function whileImporting<T>(socket: Socket, work: () => Promise<T>): Promise<T> {
  importing.add(socket);
  try {
    return await work();
  } finally {
    importing.delete(socket);
  }
}
