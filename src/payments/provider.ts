import type { Query } from '../ledger/database.ts';

/** A request to take the money of one order. `reference` is ours, one per attempt, and unique. */
export type Charge = {
  reference: string;
  orderId: string;
  buyer: string;
  merchantId: string;
  /** Minor units. */
  amount: number;
  currency: string;
};

export type DeclineReason = 'insufficient_funds' | 'closed' | 'declined';

/** What a provider knows of a charge now. */
export type Outcome = { reference: string } & (
  | { kind: 'captured'; amount: number }
  | { kind: 'declined'; reason: DeclineReason }
  /** Waits for the buyer; `client` is what the buyer's app needs to pay. */
  | { kind: 'pending'; client?: Record<string, string> }
  /** Captured, and given back since. */
  | { kind: 'refunded'; amount: number }
  /** The provider has never heard of the reference. */
  | { kind: 'none' }
  /** No trustworthy answer: ask again by the same reference, never charge under another. */
  | { kind: 'unknown' }
);

/** A request to give a captured charge back in full. At most one refund per charge. */
export type Refund = { reference: string; amount: number; currency: string };

export type RefundOutcome = { reference: string } & (
  | { kind: 'refunded'; amount: number }
  | { kind: 'pending' }
  /** Nothing was captured under the reference. */
  | { kind: 'none' }
  | { kind: 'unknown' }
);

/** A provider's message to us as it came off the wire; signatures are over these very bytes. */
export type RawNotification = { headers: Record<string, string | undefined>; body: Buffer };

export type Notification =
  | { kind: 'accepted'; outcomes: Outcome[]; answer: NotificationAnswer }
  | { kind: 'rejected'; reason: string; answer: NotificationAnswer };

/** The reply in the provider's own form. */
export type NotificationAnswer = { status: number; contentType: string; body: string };

/**
 * A way to be paid. Each call takes a batch and answers every member of it, in any order. An
 * answer that did not arrive is `unknown`, not a throw; a throw means that nothing is known of the
 * whole batch. Every call may be repeated: the reference makes it happen once.
 */
export type PaymentProvider = {
  name: string;
  /** Takes the money, or begins to. A reference already started gives its recorded outcome. */
  start(charges: readonly Charge[]): Promise<Outcome[]>;
  /**
   * The same within a transaction of the ledger, for a provider that keeps its book there: payment
   * and capture are then written together or not at all. Undefined, with nothing to be kept of the
   * transaction, when the provider has heard of one of the references before.
   */
  startWithin?(query: Query, charges: readonly Charge[]): Promise<Outcome[] | undefined>;
  /** What became of charges. */
  lookUp(references: readonly string[]): Promise<Outcome[]>;
  /**
   * Makes sure that nothing more is captured under these references, and says what they came to:
   * `captured` when the money was faster, else `declined`. A later start answers `closed`.
   */
  close(references: readonly string[]): Promise<Outcome[]>;
  refund(refunds: readonly Refund[]): Promise<RefundOutcome[]>;
  parseNotification?(raw: RawNotification): Promise<Notification>;
};
