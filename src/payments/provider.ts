// The contract of a payment provider. To add one (docs/payments.md, "Adding a provider"):
//
// 1. src/payments/<name>/<name>.ts: a function open<Name>(options) that gives a PaymentProvider. Beside
//    it, named as in the other providers: client.ts (calls to the provider, each with a time limit),
//    payments.ts (start, lookUp, close), refunds.ts, notification.ts, bill.ts, money.ts, wish.ts and
//    action.ts (what a client asks for and does), offer.ts (what is known without the library).
// 2. src/config/<name>.ts: its settings, read from the environment and checked at the start; named in
//    readPayments and offeredOf of src/config/payments.ts, and in .env.example.
// 3. src/domain/order.ts: its name, in `paymentMethods`.
// 4. src/engine/providers.ts: opens it when it is configured.
// 5. simulators/<name>.ts, named in simulators/main.ts: the provider's side for tests and the demo; test/payments/<name>.test.ts.
//
// Routes, settlement, polling, refunds and reconciliation go by this contract alone. Payments that a
// buyer starts are polled; a provider with readNotification is also asked as soon as it has sent one.

import type { BuyerId, MerchantId, PayableId, PaymentReference } from '../domain/ids.ts';
import type { Query } from '../ledger/database/database.ts';

/** A payment by our reference and the provider's, with what a provider may need to find it again. */
export type PaymentRef = {
  /** Ours, unique for each attempt: 32 letters and digits; of the wallet any text. */
  reference: PaymentReference;
  /** When it was begun, ms since the epoch; part of the request, so that a repeat is the same one. */
  startedAt: number;
  /** The provider's own id; absent until it has given one. */
  providerReference?: string | undefined;
};

/** A request to take the money for an order or a top-up. */
export type Charge = PaymentRef & {
  orderId: PayableId;
  buyer: BuyerId;
  /** Who sold the order; '' for a top-up, which nobody did. */
  merchantId: MerchantId | '';
  /** Minor units. */
  amount: number;
  currency: string;
  /** What the buyer pays for, shown to them by the provider. */
  title: string;
  /** The end of the time to pay, ms: nothing may be captured later, as far as a provider allows for. */
  expiresAt: number;
  wish: ClientWish;
};

/** What the buyer's client asks for; everything is optional. */
export type ClientWish = {
  /** One of the provider's scenes; its first when absent. */
  scene?: string | undefined;
  /** The buyer as WeChat knows them, for the scene `jsapi`. */
  openid?: string | undefined;
  /** Where the provider's page sends the browser afterwards. An arrival there proves no payment. */
  returnUrl?: string | undefined;
  /** The buyer's address, where a provider asks for it. */
  ip?: string | undefined;
};

/** What is wrong with a wish: the field and a reason for its caller. */
export type WishRefusal = { field: keyof ClientWish; reason: string };

/** What the buyer's client does to pay. */
export type ClientAction =
  | { kind: 'redirect'; url: string }
  /** The text of a QR code. */
  | { kind: 'qr'; text: string }
  /** Parameters for the provider's own SDK in the client. */
  | { kind: 'sdk'; parameters: Record<string, string> };

/** The outcomes of calls without a trustworthy answer. */
export const unknownOutcome = ({ reference }: PaymentRef): Outcome => ({
  reference,
  kind: 'unknown',
});
export const unknownRefund = ({ refundReference }: Refund): RefundOutcome => {
  return { refundReference, kind: 'unknown' };
};

export type DeclineReason = 'insufficient_funds' | 'closed' | 'declined';

/** The state of a charge at its provider. */
export type Outcome = { reference: PaymentReference; providerReference?: string | undefined } & (
  | {
      kind: 'captured';
      /** Minor units. */
      amount: number;
      /** The charge's when absent. */
      currency?: string | undefined;
      /** How much of the amount was refunded since, where the provider says so. */
      refunded?: number | undefined;
      /** The buyer or their bank disputes it, as far as the provider says so. */
      isDisputed?: boolean | undefined;
    }
  | { kind: 'declined'; reason: DeclineReason }
  /** Waits for the buyer. */
  | { kind: 'pending'; action?: ClientAction | undefined }
  /** The provider does not know the reference. */
  | { kind: 'none' }
  /** No trustworthy answer: ask again by the same reference, never charge under another. */
  | { kind: 'unknown' }
);

/** A request to refund a captured charge or a part of it. */
export type Refund = {
  /** Ours, unique for each refund: the payment's reference, `r` and a number. */
  refundReference: string;
  payment: PaymentRef;
  /** To be refunded now, minor units. */
  amount: number;
  /** Captured by the charge, minor units. */
  captured: number;
  currency: string;
  /** For people; may be empty. */
  reason: string;
  /** When it was decided, ms since the epoch. */
  askedAt: number;
};

export type RefundOutcome = { refundReference: string; providerReference?: string | undefined } & (
  | { kind: 'refunded'; amount: number }
  | { kind: 'pending' }
  /** It will not happen under this reference; an operator has to act. `reason` is for people. */
  | { kind: 'failed'; reason: string }
  | { kind: 'unknown' }
);

/** The present state of a refund at its provider; `none`: the provider knows none of this reference. */
export type RefundLookUp = RefundOutcome | { refundReference: string; kind: 'none' };

/** A provider's notification as it arrived: signatures cover exactly these bytes. */
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

/** What an operator has to know of a payment at once, besides its state. */
export const paymentAlarms = ['dispute', 'fraud_warning'] as const;
export type PaymentAlarm = (typeof paymentAlarms)[number];

/** A notification as read. Nothing is done because of its content: it only makes us ask the provider. */
export type Notification =
  | {
      kind: 'verified';
      /** The provider's id of the notification: a repeat has the same. */
      id: string;
      /** What the provider names as our reference: nothing may be done with it before it is looked up. */
      reference: string;
      /** When the provider sent it, ms since the epoch. */
      sentAt: number;
      /** The amount of the whole payment in minor units, where the notification names one. */
      amount?: number | undefined;
      currency?: string | undefined;
      /** The kind of notification in the provider's words, for people. */
      about: string;
      /** It is not about the payment's state alone: an operator has to know. */
      alarm?: PaymentAlarm | undefined;
      /** The particulars of the alarm, for people. */
      detail?: string | undefined;
    }
  /** Genuine, and about nothing that concerns us. */
  | { kind: 'ignored'; about: string }
  | { kind: 'refused'; reason: NotificationRefusal };

/** What became of a notification: `taken` ends the provider's repeats, the others need not. */
export type NotificationVerdict = 'taken' | 'refused' | 'unavailable';

/** The answer to a notification in the provider's own form. */
export type NotificationAnswer = { status: number; contentType?: string; body: string };

/** A capture or refund in a provider's own book. */
export type BillLine = {
  kind: 'capture' | 'refund';
  /** Ours, '' where the provider has none. */
  reference: string;
  providerReference: string;
  /** Minor units, positive for refunds too. */
  amount: number;
  currency: string;
  /** Ms since the epoch. */
  at: number;
};

/**
 * A payment provider. Each call takes a batch and answers every member of it, in any order. Where no
 * trustworthy answer arrived, the outcome is `unknown`; a throw means that nothing is known of the
 * whole batch. Every call may be repeated: the reference makes it take effect once.
 */
export type PaymentProvider = {
  /** Its name in routes, orders and metrics. */
  name: string;
  /**
   * Who begins a payment: the engine as soon as the order is reserved, or the buyer, who then pays at
   * the provider.
   */
  startedBy: 'engine' | 'buyer';
  /** Whether it takes a currency (ISO 4217), and in it a payment of this amount, in minor units. */
  takes(currency: string, amount?: number): boolean;
  /** Ways for a client to pay, the default one first; empty when there is only one. */
  scenes: readonly string[];
  /** Checks a wish before anything is begun; undefined when it is fine. */
  refuseWish?(wish: ClientWish): WishRefusal | undefined;
  /** Captures the money, or begins to. A reference that was started before gives its outcome. */
  start(charges: readonly Charge[]): Promise<Outcome[]>;
  /**
   * The same in a transaction of the ledger, for a provider that keeps its book there: payment and
   * capture are then written together or not at all. Undefined when the provider knows one of the
   * references already; the caller then rolls the transaction back.
   */
  startWithin?(query: Query, charges: readonly Charge[]): Promise<Outcome[] | undefined>;
  /** The state of charges. */
  lookUp(payments: readonly PaymentRef[]): Promise<Outcome[]>;
  /**
   * Closes charges, so that nothing more is captured under their references: `captured` when the
   * buyer paid first, else `declined`. A later start answers `closed`. Where the provider refuses and says
   * that the charge is still open, `pending`, without an action: it has to be closed again.
   */
  close(payments: readonly PaymentRef[]): Promise<Outcome[]>;
  /** Makes refunds, each once; repeating one gives its outcome. */
  refund(refunds: readonly Refund[]): Promise<RefundOutcome[]>;
  /**
   * The present state of refunds, without making any. Absent where a refund that was made or refused
   * stays so.
   */
  lookUpRefunds?(refunds: readonly Refund[]): Promise<RefundLookUp[]>;
  /** Verifies the bytes of a notification and reads it. Never throws for what was sent. */
  readNotification?(raw: RawNotification): Promise<Notification>;
  /** The answer to a notification. */
  answerNotification?(verdict: NotificationVerdict): NotificationAnswer;
  /** The captures and refunds in the provider's own book from `from` until before `until`, ms. */
  bill?(window: { from: number; until: number }): AsyncIterable<BillLine>;
  /** Until when there is a bill at the instant `now`, both ms; absent when the bill is immediate. */
  billedUntil?(now: number): number;
};

/** The configured payment providers by name. */
export type Providers = ReadonlyMap<string, PaymentProvider>;
