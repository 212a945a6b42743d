import type { BookLine } from '../auditor/book.ts';
import type { Counters } from './counters.ts';
import type { Parameters } from './parameters.ts';
import { openRandom, type Random } from './random.ts';
import { kinds } from './schedule.ts';
import type { Wire, WireAnswer } from './wire.ts';

/** What is on sale; an item is wanted as often as there are units of it. */
export type Goods = { drop: string; items: { sku: string; units: number }[] };
export type Buyer = { name: string; token: string; isBot: boolean };

type Pressing = {
  buyer: Buyer;
  key: string;
  request: string;
  random: Random;
  tries: number;
  ackedAt: number;
  followed: boolean;
};

const followMs = { first: 1_000, factor: 1.7, most: 8_000, looks: 12 };
const stateOf = /"state":"(\w+)"/;
const idOf = /"id":"([^"]+)"/;
const codeOf = /"code":"(\w+)"/;
const orderOf = /"order":"([^"]+)"/;

/**
 * How buyers react to answers. Follow-ups are part of the behaviour, not of the schedule; their
 * latency, too, counts from when the buyer meant to act.
 */
export function openPeople(options: {
  wire: Wire;
  host: string;
  goods: Goods;
  seed: number;
  parameters: Parameters;
  counters: Counters;
  buyerOf(index: number): Buyer;
  write(line: BookLine): void;
  /** Follows an order's stream until it ends; resolves with the last state. */
  stream(order: string, token: string): Promise<string | undefined>;
  now(): number;
  /** All waiting ends at this instant, in ms since the opening. */
  endsAtMs: number;
}) {
  const { wire, goods, parameters, counters, buyerOf, write, now, endsAtMs } = options;
  const look = `GET /v1/drops/${goods.drop} HTTP/1.1\r\nhost: ${options.host}\r\n\r\n`;
  const bodies = goods.items.map(({ sku }) => {
    return JSON.stringify({ sku, quantity: 1, payment: { method: 'wallet' } });
  });
  let open = 0;
  let presses = 0;
  let stopped = false;

  function after(ms: number, act: (dueMs: number) => void): void {
    const dueMs = now() + ms;
    if (dueMs > endsAtMs) return;
    open += 1;
    setTimeout(() => {
      open -= 1;
      if (!stopped) act(dueMs);
    }, ms);
  }

  function ask(request: string, onAnswer: (answer: WireAnswer | undefined) => void): void {
    open += 1;
    wire.send(request, (answer) => {
      open -= 1;
      onAnswer(answer);
    });
  }

  function lookAtCard(dueMs: number): void {
    ask(look, (answer) => {
      counters.current().looks += 1;
      if (answer?.status === 200) counters.answered('look', dueMs);
    });
  }

  function press(index: number, dueMs: number): void {
    const buyer = buyerOf(index);
    presses += 1;
    const key = buyer.isBot ? `bot-${index}-${presses}` : `press-${index}`;
    const random = openRandom(options.seed, index + 0x40000000);
    // A stream of its own, so that a crowd is the same whatever there is to choose from.
    const choice = openRandom(options.seed, index + 0x80000000);
    const body = bodies[bodies.length > 1 ? wanted(goods.items, choice) : 0] ?? '';
    const request =
      `POST /v1/drops/${goods.drop}/orders HTTP/1.1\r\nhost: ${options.host}\r\n` +
      `authorization: Bearer ${buyer.token}\r\nidempotency-key: ${key}\r\n` +
      `content-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
    const pressing: Pressing = {
      buyer,
      key,
      request,
      random,
      tries: 0,
      ackedAt: Number.POSITIVE_INFINITY,
      followed: false,
    };
    tap(pressing, dueMs);
    if (!buyer.isBot && random.next() < parameters.doubleTap) {
      after(20 + 180 * random.next(), (due) => tapAgain(pressing, due));
    }
  }

  function tap(pressing: Pressing, dueMs: number): void {
    const sentAt = now();
    pressing.tries += 1;
    ask(pressing.request, (answer) => told(pressing, { answer, dueMs, sentAt }));
  }

  function tapAgain(pressing: Pressing, dueMs: number): void {
    counters.current().followUps += 1;
    tap(pressing, dueMs);
  }

  function told(
    pressing: Pressing,
    { answer, dueMs, sentAt }: { answer: WireAnswer | undefined; dueMs: number; sentAt: number },
  ): void {
    const { buyer, key } = pressing;
    const base = { at: Date.now(), buyer: buyer.name, key };
    if (answer?.status === 202) {
      counters.answered('buy_accepted', dueMs);
      if (answer.replayed) counters.current().replayed += 1;
      else counters.accepted();
      pressing.ackedAt = Math.min(pressing.ackedAt, now());
      write({ ...base, kind: 'ack', replayed: answer.replayed, body: answer.body });
      follow(pressing, answer.body);
      return;
    }
    const code = answer ? (codeOf.exec(answer.body)?.[1] ?? `http_${answer.status}`) : 'no_answer';
    counters.refused(code);
    if (answer) counters.answered('buy_refused', dueMs);
    const isLoose = !answer || answer.status === 503 || answer.status === 429;
    if (!answer || code === 'outcome_unknown') {
      const order = answer && orderOf.exec(answer.body)?.[1];
      write({ ...base, kind: 'unknown', ...(order ? { order } : {}) });
    } else if (!isLoose && sentAt > pressing.ackedAt) {
      write({ ...base, kind: 'refused_after_ack', code });
    }
    if (buyer.isBot || pressing.ackedAt < now() || pressing.tries > parameters.retries) return;
    const comesBack = code === 'all_held' && pressing.random.next() < parameters.comeBack;
    if (!isLoose && !comesBack && code !== 'drop_not_open') return;
    // Retry-After, or no answer: some jitter, so that buyers do not retry together.
    const waitMs = answer ? (answer.retryAfter ?? 1) * 1_000 : 500;
    after(waitMs * (1 + pressing.random.next() / 2), (due) => tapAgain(pressing, due));
  }

  function follow(pressing: Pressing, answer: string): void {
    const order = idOf.exec(answer)?.[1];
    if (pressing.followed || order === undefined) return;
    pressing.followed = true;
    const { buyer, random } = pressing;
    const seen = (state: string) =>
      write({ kind: 'seen', at: Date.now(), buyer: buyer.name, order, state });
    const drawn = random.next();
    if (drawn < parameters.cancel) {
      cancel(buyer, order);
    } else if (drawn < parameters.cancel + parameters.stream) {
      open += 1;
      counters.current().followUps += 1;
      const ended = (state?: string) => {
        open -= 1;
        if (state && !stopped) seen(state);
      };
      // A stream that fails has ended too: without this it would count as open until the load stops.
      options.stream(order, buyer.token).then(ended, () => ended());
    } else {
      poll({ buyer, order, seen, waitMs: followMs.first * (0.5 + random.next()), looks: 1 });
    }
  }

  function cancel(buyer: Buyer, order: string): void {
    const request =
      `POST /v1/orders/${order}/cancel HTTP/1.1\r\nhost: ${options.host}\r\n` +
      `authorization: Bearer ${buyer.token}\r\ncontent-length: 0\r\n\r\n`;
    const dueMs = now();
    counters.current().followUps += 1;
    ask(request, (answer) => answer && counters.answered('cancel', dueMs));
  }

  function poll(one: {
    buyer: Buyer;
    order: string;
    waitMs: number;
    looks: number;
    seen(state: string): void;
  }): void {
    const request =
      `GET /v1/orders/${one.order} HTTP/1.1\r\nhost: ${options.host}\r\n` +
      `authorization: Bearer ${one.buyer.token}\r\n\r\n`;
    after(one.waitMs, (dueMs) => {
      counters.current().followUps += 1;
      ask(request, (answer) => {
        if (answer) counters.answered('poll', dueMs);
        const state = answer?.status === 200 ? stateOf.exec(answer.body)?.[1] : undefined;
        if (state) one.seen(state);
        if (state !== undefined && state !== 'reserved') return;
        if (one.looks >= followMs.looks) return;
        const waitMs = Math.min(one.waitMs * followMs.factor, followMs.most);
        poll({ ...one, waitMs, looks: one.looks + 1 });
      });
    });
  }

  return {
    act(kind: number, buyer: number, dueMs: number): void {
      if (kind === kinds.look) lookAtCard(dueMs);
      else press(buyer, dueMs);
    },
    /** Requests and planned follow-ups that are still open. */
    open: () => open,
    /** From now on no buyer begins a request. */
    stop(): void {
      stopped = true;
    },
  };
}

/** The position of the item that a buyer wants. */
export function wanted(items: Goods['items'], random: Pick<Random, 'next'>): number {
  const units = items.reduce((sum, item) => sum + item.units, 0);
  let left = random.next() * units;
  return Math.max(
    0,
    items.findIndex((item) => {
      left -= item.units;
      return left < 0;
    }),
  );
}
