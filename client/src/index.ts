import type { components } from './api.ts';
import { intentName, type KeyStorage, openKeys, type Press } from './keys.ts';
import { FlashdropError } from './problem.ts';
import { monotonic, openClock } from './time.ts';
import { type Answer, type CallOptions, openTransport, type TokenProvider } from './transport.ts';
import { watch } from './watch.ts';

export {
  type ClientCode,
  FlashdropError,
  type NewerCode,
  type Problem,
  type ProblemCode,
} from './problem.ts';
export type { CallOptions, KeyStorage, TokenProvider };

type Schemas = components['schemas'];

/** What the card of a drop shows. */
export type Card = Schemas['Card'];
export type Order = Schemas['Order'];
export type OrderPage = Schemas['OrderPage'];
/** One of those that a card lists; the ones that this version knows are named. */
export type PaymentMethod =
  | Schemas['BuyRequest']['payment']['method']
  | (string & Record<never, never>);
/** A payment, and the `action` that the buyer's client does now. */
export type Payment = Schemas['Payment'];
export type PaymentStart = Omit<Schemas['StartPaymentRequest'], 'method'> & {
  method: PaymentMethod;
};
export type Appointment = Schemas['Appointment'];

export type Wish = {
  sku: string;
  /** 1 when absent. */
  quantity?: number | undefined;
  method: PaymentMethod;
  /** What the drop asks of its buyers: see `fields` of the card. */
  fields?: Record<string, string> | undefined;
  /** Your own notes for the order. */
  metadata?: Record<string, string> | undefined;
};

export type FlashdropOptions = {
  /** Absent: only what needs no buyer, such as cards. */
  token?: TokenProvider | undefined;
  /** Where the keys of Buys are kept; localStorage in a page, else memory. */
  storage?: KeyStorage | undefined;
  /** How long a call may take with all its retries, ms; 30,000 when absent. */
  deadlineMs?: number | undefined;
  /** In place of the global one. */
  fetch?: typeof fetch | undefined;
};

/** Two taps of one finger: the second is no wish for another unit, even if the first is paid already. */
const doubleTapMs = 2_000;

export type Flashdrop = ReturnType<typeof flashdrop>;

/** A client of the engine at `address`, such as `https://drops.example`. Every call throws FlashdropError. */
export function flashdrop(address: string, options: FlashdropOptions = {}) {
  const { token, storage, deadlineMs = 30_000 } = options;
  const transport = openTransport({
    address,
    token,
    deadlineMs,
    fetch: options.fetch ?? ((...of) => fetch(...of)),
  });
  const keys = openKeys(storage);
  const clock = openClock();

  async function get<T>(path: string, call?: CallOptions): Promise<T> {
    return (await transport.call<T>({ path }, call)).value;
  }

  async function post<T>(
    path: string,
    call?: CallOptions,
    body?: unknown,
    isOnce = false,
  ): Promise<T> {
    const text = body === undefined ? undefined : JSON.stringify(body);
    return (await transport.call<T>({ method: 'POST', path, body: text, isOnce }, call)).value;
  }

  const readOrder = (order: string, call?: CallOptions) => get<Order>(orderPath(order), call);

  async function readCard(drop: string, call?: CallOptions): Promise<Card> {
    const { value, sentAt, receivedAt } = await transport.call<Card>(
      { path: dropPath(drop), isUncached: true },
      call,
    );
    clock.measure(value.serverTime, receivedAt, sentAt);
    return value;
  }

  /** The order of an earlier press, where the wish is still that one; undefined where it is a new one. */
  async function orderOf({ order: id, at }: Press, call: CallOptions): Promise<Order | undefined> {
    if (id === undefined) return undefined;
    try {
      const order = await readOrder(id, call);
      const isDoubleTap = order.state === 'paid' && Math.abs(Date.now() - at) < doubleTapMs;
      return order.state === 'reserved' || isDoubleTap ? order : undefined;
    } catch (error) {
      if (codeOf(error) === 'unknown_order') return undefined;
      throw error;
    }
  }

  /** An order that there may be; undefined where it is not found at once. */
  async function lookUp(
    id: string,
    leftMs: number,
    signal: AbortSignal | undefined,
  ): Promise<Answer<Order> | undefined> {
    try {
      return await transport.attempt<Order>({ path: orderPath(id) }, leftMs, signal);
    } catch (error) {
      if (error instanceof FlashdropError) return undefined;
      throw error;
    }
  }

  async function order(
    drop: string,
    body: string,
    press: Press,
    call: CallOptions,
  ): Promise<Answer<Order>> {
    const { key } = press;
    const headers = { 'idempotency-key': key };
    return await transport.call<Order>(
      { method: 'POST', path: `${dropPath(drop)}/orders`, body, headers },
      call,
      async (problem, leftMs) =>
        problem.code === 'outcome_unknown' && problem.order !== undefined
          ? await lookUp(problem.order, leftMs, call.signal)
          : undefined,
    );
  }

  /**
   * Buys, and gives the order as it is now: usually `reserved`, with the payment to follow. The key is
   * stored before the request. The same wish of the same buyer is the same Buy, in other tabs and after
   * a reload too, until its order has ended; the next one is a new Buy.
   */
  async function buy(drop: string, wish: Wish, options: CallOptions = {}): Promise<Order> {
    const endsAt = monotonic() + (options.deadlineMs ?? deadlineMs);
    const leftMs = () => Math.max(1, endsAt - monotonic());
    const call = () => ({ ...options, deadlineMs: leftMs() });
    const body = bodyOf(wish);
    const buyer = await transport.token(leftMs(), options.signal);
    const name = intentName({ address: transport.address, token: buyer, drop, body });
    const { isNew, ...press } = await keys.take(name);
    const earlier = await orderOf(press, call());
    if (earlier) return earlier;
    if (press.order !== undefined) {
      return await sendPress(drop, body, { name, press: await keys.renew(name, press) }, call);
    }
    const order = await sendPress(drop, body, { name, press }, call);
    // An earlier press reserved it and nobody knew: it lapsed, and this press is a new wish.
    const hasLapsed = !isNew && (order.state === 'released' || order.state === 'refunded');
    if (!hasLapsed) return order;
    return await sendPress(drop, body, { name, press: await keys.renew(name, press) }, call);
  }

  /** Sends the Buy of a press, and gives its order as it is now. */
  async function sendPress(
    drop: string,
    body: string,
    { name, press }: { name: string; press: Press },
    call: () => CallOptions & { deadlineMs: number },
  ): Promise<Order> {
    try {
      const { value, isReplay } = await order(drop, body, press, call());
      await keys.save(name, press, value.id);
      // A replay tells the first answer again, whatever has become of the order.
      const { signal, deadlineMs: leftMs } = call();
      const now = isReplay ? await lookUp(value.id, leftMs, signal) : undefined;
      return now?.value ?? { ...value, drop };
    } catch (error) {
      if (codeOf(error) === 'idempotency_key_reused') await keys.renew(name, press);
      throw error;
    }
  }

  return {
    buy,
    /** The engine's time, ms since the epoch, once a card was read; until then the device's. */
    now: clock.now,
    drops: {
      get: readCard,
      /** The card now and after each change, until the drop is over. */
      watch: (drop: string, { signal }: Pick<CallOptions, 'signal'> = {}) =>
        watch<Card>(
          transport,
          {
            path: dropPath(drop),
            read: () => readCard(drop, { signal }),
            onSent: (card) => clock.measure(card.serverTime, monotonic()),
            isOver: ({ state }) => state === 'ended' || state === 'cancelled',
          },
          signal,
        ),
      appointment: (drop: string, call?: CallOptions) =>
        get<Appointment>(`${dropPath(drop)}/appointment`, call),
      makeAppointment: (drop: string, call?: CallOptions) =>
        post<Appointment>(`${dropPath(drop)}/appointment`, call),
    },
    orders: {
      get: readOrder,
      /** One's own, newest first. */
      list: ({ cursor, ...call }: CallOptions & { cursor?: string | undefined } = {}) =>
        get<OrderPage>(`/v1/orders${cursor ? `?cursor=${encodeURIComponent(cursor)}` : ''}`, call),
      /** The order now and after each change, until it is no longer reserved. */
      watch: (id: string, { signal }: Pick<CallOptions, 'signal'> = {}) =>
        watch<Order>(
          transport,
          {
            path: orderPath(id),
            read: () => readOrder(id, { signal }),
            isOver: ({ state }) => state !== 'reserved',
          },
          signal,
        ),
      /**
       * Begins the payment, continues it, or changes its method. With a password it is sent once: a
       * wrong one sent twice would cost two tries.
       */
      pay: (id: string, start: PaymentStart, call?: CallOptions) =>
        post<Payment>(`${orderPath(id)}/payment`, call, start, start.password !== undefined),
      cancel: (id: string, call?: CallOptions) => post<Order>(`${orderPath(id)}/cancel`, call),
    },
  };
}

const dropPath = (drop: string) => `/v1/drops/${encodeURIComponent(drop)}`;
const orderPath = (order: string) => `/v1/orders/${encodeURIComponent(order)}`;

function codeOf(error: unknown): string | undefined {
  return error instanceof FlashdropError ? error.problem.code : undefined;
}

/** The body of a Buy: the same bytes for the same wish, in whatever order its names were written. */
function bodyOf({ sku, quantity = 1, method, fields, metadata }: Wish): string {
  return JSON.stringify({
    sku,
    quantity,
    payment: { method },
    fields: sorted(fields),
    metadata: sorted(metadata),
  });
}

function sorted(map: Record<string, string> | undefined): Record<string, string> | undefined {
  return map && Object.fromEntries(Object.entries(map).sort(([a], [b]) => (a < b ? -1 : 1)));
}
