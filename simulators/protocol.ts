import type { FastifyInstance, FastifyRequest } from 'fastify';

// What a simulator is made of: the part that every provider shares (a book, a notifier, faults,
// the control routes) and the protocol of one provider, which is written as that provider's public
// documents have it. A simulator is a process of its own and shares no code with the engine: what
// it believes of the engine is what came over the wire.

export type ProviderName = 'stripe' | 'alipay' | 'wechat_pay';

/** A payment as the provider has it: its own book, which auditors trust. */
export type BookedCharge = {
  /** The merchant's reference. */
  reference: string;
  /** The provider's own id, made when the charge was. */
  providerReference: string;
  /** Minor units. */
  amount: number;
  currency: string;
  state: 'open' | 'captured' | 'declined' | 'closed';
  /** After it nothing is captured, ms since the epoch; but faults can. */
  expiresAt: number | undefined;
  notifyUrl: string;
  createdAt: number;
  capturedAt: number | undefined;
  /** When it was closed or declined. */
  endedAt: number | undefined;
  /** How often money was taken: more than once is a breach of the provider's own. */
  captures: number;
  refunds: BookedRefund[];
  /** What the protocol wants to remember of it. */
  extra: Record<string, string>;
};

export type BookedRefund = {
  /** The merchant's reference of the refund. */
  reference: string;
  providerReference: string;
  amount: number;
  at: number;
};

/** What happened to a charge that the merchant is to be told. */
export type BookEvent = {
  kind: 'captured' | 'declined' | 'closed' | 'refunded';
  /** As it was when it happened; only `extra` is the charge's own. */
  charge: BookedCharge;
  refund?: BookedRefund | undefined;
  /** Unique: a repeat of the same message has the same. */
  id: string;
  at: number;
};

/**
 * The book with its rules: money is taken once, never after the end, given back to the cent. An open
 * charge whose time is over is closed, and that is an event. `find` and `all` give the book's own
 * records, of which a protocol changes nothing but `extra`.
 */
export type SimulatedBook = {
  find(reference: string): BookedCharge | undefined;
  all(): BookedCharge[];
  /** A charge under this reference, made now unless it is there. */
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
  /** Gives money back; the same refund again is `already`, another amount under it `reused`. */
  refund(
    reference: string,
    refund: Pick<BookedRefund, 'reference' | 'amount'>,
  ):
    | { kind: 'refunded' | 'already'; refund: BookedRefund }
    | { kind: 'exceeds' | 'none' | 'reused' };
};

export type Simulator = {
  book: SimulatedBook;
  /** Where this simulator serves. */
  url(): string;
  /** The simulator's clock, ms. */
  now(): number;
  /** A random id, from the seed, of letters and digits or of what `alphabet` has. */
  id(prefix: string, length: number, alphabet?: string): string;
};

/** Which call of the provider's API a request is, as faults tells them apart. */
export type ApiCall = {
  /** Such as `refund`: each kind has its own luck. */
  kind: string;
  /** What it is about. */
  reference: string;
  /** Repeated under the same key, a call that failed fails again. */
  key?: string | undefined;
};

declare module 'fastify' {
  interface FastifyContextConfig {
    /** A page for people (`app.get(path, { config: { page: true } }, …)`): no fault is applied to it. */
    page?: boolean;
  }
}

/** One provider's own language. */
export type Protocol = {
  provider: ProviderName;
  /** Settings (environment variables) with which an engine talks to this simulator. */
  settings(url: string): Record<string, string>;
  /**
   * The provider's API and its cashier page for people. Bodies arrive as a Buffer in request.body.
   * Requests are verified with the real algorithms; what does not verify is refused as the real one
   * refuses it.
   */
  routes(app: FastifyInstance, simulator: Simulator): void;
  /** The provider's own id of a new charge or refund; without this `ch_…` and `re_…`. */
  newId?(of: 'charge' | 'refund', simulator: Simulator): string;
  /**
   * Without it, or of what it leaves undefined: the kind is the route, the reference whatever in the
   * request looks like one of the engine's (`fd` and 30 hex digits), else the address; the key is
   * the header `idempotency-key`.
   */
  callOf?(request: FastifyRequest): Partial<ApiCall>;
  /**
   * The message about an event, signed (and encrypted) at the moment it is sent. `forge` is the name
   * of a falsification to commit, see `forgeries`. Undefined: the provider sends none for it.
   */
  notification(
    event: BookEvent,
    simulator: Simulator,
    forge?: Forgery,
  ): { headers: Record<string, string>; body: Buffer } | undefined;
  /** Whether an answer ends the repeats of a message. */
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

/** What a simulator is told to do wrong, each by chance from 0 to 1 under its seed. */
export type Faults = {
  /** A notification is not sent at all, or a while later, or several times, or after later ones. */
  lose: number;
  delay: number;
  delayMs: number;
  repeat: number;
  repeats: number;
  reorder: number;
  /** A forged message is sent beside the true one. */
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
  /** A charge that was closed or has run out is captured all the same when the buyer pays. */
  captureAfterClose: number;
};
