import type { FastifyInstance, FastifyRequest } from 'fastify';

// A simulator consists of what all providers share (book, notifier, faults, control routes) and the
// protocol of one provider, written from that provider's public documentation. A simulator is a
// process of its own and shares no code with the engine; all it knows of the engine came over the wire.

export type ProviderName = 'stripe' | 'alipay' | 'wechat_pay';

/** A payment in the provider's own book, which auditors trust. */
export type BookedCharge = {
  /** The merchant's reference. */
  reference: string;
  /** The provider's own id. */
  providerReference: string;
  /** Minor units. */
  amount: number;
  currency: string;
  state: 'open' | 'captured' | 'declined' | 'closed';
  /** Nothing is captured after this instant (ms since the epoch), except by a fault. */
  expiresAt: number | undefined;
  notifyUrl: string;
  createdAt: number;
  capturedAt: number | undefined;
  /** When it was closed or declined. */
  endedAt: number | undefined;
  /** How often money was taken; more than once is a bug of the simulator. */
  captures: number;
  refunds: BookedRefund[];
  /** Data of the protocol. */
  extra: Record<string, string>;
};

export type BookedRefund = {
  /** The merchant's reference of the refund. */
  reference: string;
  providerReference: string;
  amount: number;
  at: number;
  /** It was done, and has failed since. */
  failed?: boolean;
};

/** An event of a charge, of which the merchant is notified. */
export type BookEvent = {
  kind: 'captured' | 'declined' | 'closed' | 'refunded' | 'refund_changed';
  /** A copy from the time of the event; only `extra` is shared with the book. */
  charge: BookedCharge;
  refund?: BookedRefund | undefined;
  /** Unique; repeats of the same notification carry the same id. */
  id: string;
  at: number;
};

/**
 * The book and its rules: money is taken once, never after the end, and refunded exactly. An open
 * charge whose time is over is closed, with an event. `find` and `all` return the book's own records,
 * of which a protocol may change `extra` only.
 */
export type SimulatedBook = {
  find(reference: string): BookedCharge | undefined;
  all(): BookedCharge[];
  /** The charge with this reference, created unless it exists. */
  open(
    charge: Pick<BookedCharge, 'reference' | 'amount' | 'currency' | 'notifyUrl'> & {
      expiresAt?: number | undefined;
      extra?: Record<string, string>;
    },
  ): { charge: BookedCharge; fresh: boolean };
  /** Takes the money; `refused` when the charge is not open or its time is over. */
  capture(reference: string): 'captured' | 'already' | 'refused';
  /** Ends an open charge. */
  close(reference: string, how: 'closed' | 'declined'): 'closed' | 'already' | 'captured' | 'none';
  /** Refunds. The same refund again is `already`; another amount under its reference is `reused`. */
  refund(
    reference: string,
    refund: Pick<BookedRefund, 'reference' | 'amount'>,
  ):
    | { kind: 'refunded' | 'already'; refund: BookedRefund }
    | { kind: 'exceeds' | 'none' | 'reused' };
  /** A refund that was done fails, or one that failed is done after all; undefined when there is none. */
  changeRefund(refundReference: string, to: { failed: boolean }): BookedRefund | undefined;
};

export type Simulator = {
  book: SimulatedBook;
  /** Where this simulator serves. */
  url(): string;
  /** Where the engine takes notifications, for a provider whose requests do not name the address. */
  notifyUrl: string;
  /** The simulator's clock, ms. */
  now(): number;
  /** A random id from the seed, of letters and digits or of the characters of `alphabet`. */
  id(prefix: string, length: number, alphabet?: string): string;
  /** What the protocol itself keeps beside the book, by name: plain data that outlives a restart. */
  remembered<T>(name: string): Map<string, T>;
};

/** The API call that a request makes; faults are chosen per call. */
export type ApiCall = {
  /** Such as `refund`: faults are drawn separately for each kind. */
  kind: string;
  /** The charge or refund it is about. */
  reference: string;
  /** A failed call that is repeated with the same key fails again. */
  key?: string | undefined;
};

declare module 'fastify' {
  interface FastifyContextConfig {
    /** A page for people (`app.get(path, { config: { page: true } }, …)`): no fault is applied to it. */
    page?: boolean;
  }
}

/** The API and the notifications of one provider. */
export type Protocol = {
  provider: ProviderName;
  /** Settings (environment variables) with which an engine talks to this simulator. */
  settings(url: string): Record<string, string>;
  /**
   * The provider's API and its cashier page for people. Bodies arrive as a Buffer in request.body.
   * Requests are verified with the real algorithms and refused as the real provider refuses them.
   */
  routes(app: FastifyInstance, simulator: Simulator): void;
  /** The provider's own id of a new charge or refund; without this `ch_…` and `re_…`. */
  newId?(of: 'charge' | 'refund', simulator: Simulator): string;
  /**
   * Describes a request. Defaults: the kind is the route; the reference is what in the request looks
   * like one of the engine's (`fd` and 30 hex digits), else the URL; the key is the header
   * `idempotency-key`.
   */
  callOf?(request: FastifyRequest): Partial<ApiCall>;
  /**
   * The notification of an event, signed (and encrypted) when it is sent. `forge` names the forgery to
   * make, see `forgeries`. Undefined when the provider sends none for the event.
   */
  notification(
    event: BookEvent,
    simulator: Simulator,
    forge?: Forgery,
  ): { headers: Record<string, string>; body: Buffer } | undefined;
  /** Whether an answer ends the repeats of a notification. */
  isTaken(answer: { status: number; body: string }): boolean;
};

export const forgeries = [
  'signature',
  'stale',
  'other_merchant',
  'other_amount',
  'other_currency',
  'unknown_order',
  /** The same content in other bytes under the signature of the first. */
  'reserialised',
  'oversized',
] as const;
export type Forgery = (typeof forgeries)[number];

/** Fault settings: probabilities from 0 to 1, drawn with the simulator's seed. */
export type Faults = {
  /** A notification is not sent, is delayed, repeated, or sent after later ones. */
  lose: number;
  delay: number;
  delayMs: number;
  repeat: number;
  repeats: number;
  reorder: number;
  /** A forged notification is sent beside the true one. */
  forge: number;
  /** An API call does its work and answers 500; repeated under the same key it answers 500 again
   *  where the provider does so (Stripe). */
  fail: number;
  /** An API call answers 500 and does nothing. */
  refuse: number;
  /** An API call does its work and never answers. */
  hang: number;
  /** An API call is answered this much later. */
  slow: number;
  slowMs: number;
  /** A closed or expired charge is captured all the same when the buyer pays. */
  captureAfterClose: number;
};
