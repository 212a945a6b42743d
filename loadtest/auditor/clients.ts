import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Breach } from '../spike/record.ts';
import type { BookLine } from './book.ts';

/** An order as its client knows it. */
export type Acknowledged = { buyer: string; body: string; lastSeen: string | undefined };

/** The clients' books, read whole: what was promised to whom. */
export type Clients = {
  /** By order id. */
  acknowledged: Map<string, Acknowledged>;
  /** Buyers who had no answer to a Buy, and so may have an order that they do not know of. */
  unsure: Set<string>;
  lines: number;
  breaches: Breach[];
};

/** Reads the books and judges point F in passing: the same key always got the same bytes. */
export async function readBooks(files: string[]): Promise<Clients> {
  const clients: Clients = { acknowledged: new Map(), unsure: new Set(), lines: 0, breaches: [] };
  const keys = new Map<string, { body: string; order: string }>();
  const ends = new Map<string, string>();
  for (const file of files) {
    for await (const text of createInterface({ input: createReadStream(file) })) {
      if (text === '') continue;
      clients.lines += 1;
      read(JSON.parse(text) as BookLine);
    }
  }
  for (const [order, state] of ends) {
    const known = clients.acknowledged.get(order);
    if (known) known.lastSeen = state;
  }
  return clients;

  function read(line: BookLine): void {
    if (line.kind === 'unknown') clients.unsure.add(line.buyer);
    else if (line.kind === 'seen') ends.set(line.order, line.state);
    else if (line.kind === 'ack') acknowledge(line);
    else {
      const first = keys.get(`${line.buyer} ${line.key}`);
      const text = `${line.buyer} was told ${line.code} under a key that had been acknowledged`;
      clients.breaches.push({ point: 'F', promise: 3, order: first?.order, text });
    }
  }

  function acknowledge({ buyer, key, body }: Extract<BookLine, { kind: 'ack' }>): void {
    const order = (JSON.parse(body) as { id: string }).id;
    const name = `${buyer} ${key}`;
    const first = keys.get(name);
    if (!first) {
      keys.set(name, { body, order });
      clients.acknowledged.set(order, { buyer, body, lastSeen: undefined });
    } else if (first.body !== body) {
      const text = `${buyer} got two answers for one key: ${first.body} and ${body}`;
      clients.breaches.push({ point: 'F', promise: 3, order: first.order, text });
    }
  }
}
