import type { PayableId } from '../domain/ids.ts';
import type { Query } from '../ledger/database/database.ts';

/** What a payment is known by on both sides, and what a provider may need to find it again. */
export type PaymentRef = {
  /** Ours, one per attempt, unique: letters, digits and `_` only. Of the wallet any text. */
  reference: string;
  /** When it was begun, ms since the epoch: a repeated start is the same request to the byte. */
  startedAt: number;
  /** The provider's own id, once it has told one. */
  providerReference?: string | undefined;
};

/** A request to take the money of one order, or of one top-up. */
export type Charge = PaymentRef & {
  orderId: PayableId;
  buyer: string;
  merchantId: string;
  /** Minor units. */
  amount: number;
  currency: string;
  /** What the buyer is told that the money is for. */
  title: string;
  /** Nothing is to be captured after this instant, as far as a provider can be told; ms. */
  expiresAt: number;
  wish: ClientWish;
};

/** How the buyer's client would like to pay; all of it may be left out. */
export type ClientWish = {
  /** One of the provider's scenes; its first when absent. */
  scene?: string | undefined;
  /** The buyer as WeChat knows them, for the scene `jsapi`. */
  openid?: string | undefined;
  /** Where the provider's page sends the buyer's browser afterwards; never believed. */
  returnUrl?: string | undefined;
  /** The buyer's address, where a provider asks for it. */
  ip?: string | undefined;
};

/** What the buyer's client does to pay. */
export type ClientAction =
  | { kind: 'redirect'; url: string }
  /** The text of a QR code. */
  | { kind: 'qr'; text: string }
  /** Parameters for the provider's own SDK in the client. */
  | { kind: 'sdk'; parameters: Record<string, string> };

export type DeclineReason = 'insufficient_funds' | 'closed' | 'declined';

/** What a provider knows of a charge now. */
export type Outcome = {
  reference: string;
  providerReference?: string | undefined;
} /** `refunded`: what of the amount was given back since. `currency`: the charge's when absent. */ & (
  | { kind: 'captured'; amount: number; currency?: string; refunded?: number }
  | { kind: 'declined'; reason: DeclineReason }
  /** Waits for the buyer. */
  | { kind: 'pending'; action?: ClientAction }
  /** The provider has never heard of the reference. */
  | { kind: 'none' }
  /** No trustworthy answer: ask again by the same reference, never charge under another. */
  | { kind: 'unknown' }
);

/** A request to give a captured charge back, or a part of it. */
export type Refund = {
  /** Ours, one per refund, unique; the payment's reference and a number. */
  refundReference: string;
  payment: PaymentRef;
  /** What is given back now, and what was captured; minor units. */
  amount: number;
  captured: number;
  currency: string;
  /** For people; may be empty. */
  reason: string;
};

export type RefundOutcome = { refundReference: string; providerReference?: string | undefined } & (
  | { kind: 'refunded'; amount: number }
  | { kind: 'pending' }
  /** It will not happen under this reference: somebody has to look. */
  | { kind: 'failed'; reason: string }
  | { kind: 'unknown' }
);

/** A provider's message to us as it came off the wire; signatures are over these very bytes. */
export type RawNotification = { headers: Record<string, string | undefined>; body: Buffer };

export const notificationRefusals = [
  'malformed',
  'signature',
  'stale',
  /** Meant for another merchant or application. */
  'other_merchant',
  'unknown_order',
  'other_amount',
  'other_currency',
] as const;
export type NotificationRefusal = (typeof notificationRefusals)[number];

/** What a notification says. Nothing in it is acted on: it only makes us ask the provider. */
export type Notification =
  | {
      kind: 'told';
      /** The provider's id of the message: a repeat has the same. */
      id: string;
      reference: string;
      /** When the provider sent it, ms since the epoch. */
      sentAt: number;
      /** The sum of the whole payment, where the message names one. */
      amount?: number | undefined;
      currency?: string | undefined;
      /** What it is about, for people. */
      about: string;
    }
  /** Signed, and about nothing that we follow. */
  | { kind: 'ignored'; about: string }
  | { kind: 'refused'; reason: NotificationRefusal };

/** The reply in the provider's own form. */
export type NotificationAnswer = { status: number; contentType?: string; body: string };

/** A movement in a provider's own book, as it lists them. */
export type BillLine = {
  kind: 'capture' | 'refund';
  /** Ours, '' where the provider has none. */
  reference: string;
  providerReference: string;
  amount: number;
  currency: string;
  at: number;
};

/**
 * A way to be paid. Each call takes a batch and answers every member of it, in any order. An
 * answer that did not arrive is `unknown`, not a throw; a throw means that nothing is known of the
 * whole batch. Every call may be repeated: the reference makes it happen once.
 */
export type PaymentProvider = {
  name: string;
  /**
   * Who begins a payment: the engine as soon as the order is reserved, or the buyer, who then pays
   * at the provider.
   */
  startedBy: 'engine' | 'buyer';
  /** Whether it takes this currency. */
  takes(currency: string): boolean;
  /** Ways for a client to pay, the usual one first; empty when there is nothing to choose. */
  scenes: readonly string[];
  /** What is wrong with a wish, if anything: told to the client before anything is begun. */
  refuseWish?(wish: ClientWish): { field: keyof ClientWish; reason: string } | undefined;
  /** Takes the money, or begins to. A reference already started gives its recorded outcome. */
  start(charges: readonly Charge[]): Promise<Outcome[]>;
  /**
   * The same within a transaction of the ledger, for a provider that keeps its book there: payment
   * and capture are then written together or not at all. Undefined, with nothing to be kept of the
   * transaction, when the provider has heard of one of the references before.
   */
  startWithin?(query: Query, charges: readonly Charge[]): Promise<Outcome[] | undefined>;
  /** What became of charges. */
  lookUp(payments: readonly PaymentRef[]): Promise<Outcome[]>;
  /**
   * Makes sure that nothing more is captured under these references, and says what they came to:
   * `captured` when the money was faster, else `declined`. A later start answers `closed`.
   */
  close(payments: readonly PaymentRef[]): Promise<Outcome[]>;
  /** Gives money back, each refund once; repeating one tells what became of it. */
  refund(refunds: readonly Refund[]): Promise<RefundOutcome[]>;
  /** Verifies a notification on its raw bytes and reads it. Never throws for what was sent. */
  readNotification?(raw: RawNotification): Promise<Notification>;
  /** How a notification is answered: `taken` ends its repeats, the others may not. */
  answerNotification?(verdict: 'taken' | 'refused' | 'unavailable'): NotificationAnswer;
  /** The provider's own book between two instants (ms), in both directions of money. */
  bill?(window: { from: number; until: number }): AsyncIterable<BillLine>;
  /** The instant up to which there is a bill by now (ms); everything up to now when absent. */
  billedUntil?(now: number): number;
};

/** The payment providers that are configured, by name. */
export type Providers = ReadonlyMap<string, PaymentProvider>;
