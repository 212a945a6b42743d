import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

const importing = new WeakSet<Socket>();

/** Whether a list is being imported on a connection: it may take longer than any other request. */
export function isImporting(socket: Socket): boolean {
  return importing.has(socket);
}

/**
 * Exempts a connection from the request time-out until its answer is sent: a client that is still
 * sending a list whose import has failed is to read why. It is still closed when idle.
 */
export function exemptFromTimeout(socket: Socket, response: ServerResponse): void {
  importing.add(socket);
  response.once('close', () => importing.delete(socket));
}
