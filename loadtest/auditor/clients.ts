import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Breach } from '../record/record.ts';
import type { BookLine } from './book.ts';

/** An order in its client's book. */
export type Acknowledged = { order: string; buyer: string; key: string };

/** The clients' books, read completely: what each client was promised. */
export type Clients = {
  /** By order id. */
  acknowledged: Map<string, Acknowledged>;
  /** Every state in which a client saw an order, by order id. */
  seen: Map<string, Set<string>>;
  /** Buyers who had no answer to a Buy, and may therefore have an unknown order. */
  unsure: Set<string>;
  /** Partial refunds of orders that stayed paid, by order id. */
  gaveBack: Map<string, number>;
  lines: number;
  breaches: Breach[];
};

/** The lines of the load processes' books. */
export async function* linesIn(files: string[]): AsyncGenerator<BookLine> {
  for (const file of files) {
    for await (const text of createInterface({ input: createReadStream(file) })) {
      if (text !== '') yield JSON.parse(text) as BookLine;
    }
  }
}

/** Reads the books and makes check F on the way: the same key always got the same bytes. */
export async function readLines(
  lines: AsyncIterable<BookLine> | Iterable<BookLine>,
): Promise<Clients> {
  const clients: Clients = {
    acknowledged: new Map(),
    seen: new Map(),
    unsure: new Set(),
    gaveBack: new Map(),
    lines: 0,
    breaches: [],
  };
  const parts = new Set<string>();
  const keys = new Map<string, { body: string; order: string; firsts: number }>();
  for await (const line of lines) {
    clients.lines += 1;
    read(line);
  }
  return clients;

  function read(line: BookLine): void {
    if (line.kind === 'unknown') clients.unsure.add(line.buyer);
    else if (line.kind === 'seen') see(line.order, line.state);
    else if (line.kind === 'gave_back') giveBack(line);
    else if (line.kind === 'ack') acknowledge(line);
    else {
      const first = keys.get(`${line.buyer} ${line.key}`);
      add(
        `${line.buyer} was told ${line.code} under a key that had been acknowledged`,
        first?.order,
      );
    }
  }

  function see(order: string, state: string): void {
    const states = clients.seen.get(order);
    if (states) states.add(state);
    else clients.seen.set(order, new Set([state]));
  }

  function giveBack({ order, key, amount }: Extract<BookLine, { kind: 'gave_back' }>): void {
    const part = `${order} ${key}`;
    if (parts.has(part)) return;
    parts.add(part);
    clients.gaveBack.set(order, (clients.gaveBack.get(order) ?? 0) + amount);
  }

  function acknowledge(line: Extract<BookLine, { kind: 'ack' }>): void {
    const { buyer, key, body, replayed } = line;
    const order = (JSON.parse(body) as { id: string }).id;
    const name = `${buyer} ${key}`;
    const known = keys.get(name) ?? { body, order, firsts: 0 };
    keys.set(name, known);
    if (known.body !== body) {
      add(`${buyer} got two answers for one key: ${known.body} and ${body}`, known.order);
    }
    if (!replayed) known.firsts += 1;
    // One of the answers may be lost on its way, so a key may have no first answer in the book.
    if (!replayed && known.firsts === 2)
      add(`${buyer} got a replay that was not called one`, order);
    const owner = clients.acknowledged.get(order);
    if (!owner) clients.acknowledged.set(order, { order, buyer, key });
    else if (owner.buyer !== buyer || owner.key !== key) {
      add(`${buyer} was given the order of another key, of ${owner.buyer}`, order);
    }
  }

  function add(text: string, order: string | undefined): void {
    clients.breaches.push({ point: 'F', promise: 3, order, text });
  }
}
