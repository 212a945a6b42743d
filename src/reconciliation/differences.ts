import type { PayableId, PaymentReference } from '../domain/ids.ts';
import type { PaymentResult } from '../ledger/payments/results.ts';

/** The kinds of difference between the books. Alarms and dashboards use these names. */
export const differenceKinds = [
  /** The provider has captured what we have open or declined. */
  'capture_missed',
  /** We have captured what the provider has not. */
  'capture_denied',
  /** The payment's bank or buyer disputes it. */
  'disputed',
  'amount_differs',
  'currency_differs',
  /** The provider has given back more than we ever asked for. */
  'refunded_outside',
  /** The provider has given back less than we have as done. */
  'refund_denied',
  /** A refund that was asked for and makes no progress. */
  'refund_stuck',
  'refund_failed',
  /** A provider does not tell whether a refund that failed was made after all. */
  'refund_unknown',
  /** The provider has made a refund that we have as failed. */
  'refund_missed',
  /** The provider makes a refund that was noted as paid in another way. */
  'refund_paid_twice',
  /** The provider has returned the money and the order still counts as paid. */
  'refund_unfinished',
  'topup_not_credited',
  /** In the provider's book under a reference of our form, but not in the ledger. */
  'unknown_capture',
  'unknown_refund',
  'bill_unreadable',
  /** A provider gave no answer about payments, or is no longer configured. */
  'provider_silent',
  /** The keys of a lane are not what a lane's keys are: none of its orders was compared. */
  'lane_unreadable',
  'paid_without_capture',
  'captured_twice',
  /** Money is kept for an order that is not paid. */
  'captured_not_sold',
  'order_differs',
  'order_not_in_lane',
  'order_not_in_ledger',
  'payment_without_order',
] as const;
export type DifferenceKind = (typeof differenceKinds)[number];

/** What each of the books has, as text for an operator. */
export type Says = Partial<Record<'ledger' | 'provider' | 'lane', string>>;

export type Difference = {
  kind: DifferenceKind;
  /** '' where there is none. */
  order: PayableId | '';
  /** The payment's reference, or the refund's; '' where there is none. */
  payment: string;
  provider: string;
  /** Such as `lane 0 of drop_k3v9q0xw2m1c`; of `lane_unreadable` alone. */
  lane?: string;
  says: Says;
  /** `repaired`: the difference is gone. `alarm`: it remains, and an operator has to act. */
  done: 'repaired' | 'alarm';
};

/** What removes a difference. Every repair is idempotent: several workers may run it at once. */
export type Repair =
  | { kind: 'record'; fact: PaymentResult; order: PayableId }
  | { kind: 'settle'; order: PayableId }
  | { kind: 'refund'; payment: PaymentReference }
  /** Asks the provider about refunds that were done or failed. */
  | { kind: 'check'; payment: PaymentReference }
  /** Records money that went back without our asking, in minor units. */
  | { kind: 'outside'; payment: PaymentReference; amount: number; reason: string };

/** A difference seen once. It counts only when the next comparison finds it again. */
export type Finding = Omit<Difference, 'done'> & {
  repair?: Repair;
  /** The provider may still be working on it: it is repaired, and raises no alarm if it remains. */
  inProgress?: true;
  /** The repair corrects our books only: an operator has to know all the same. */
  tells?: true;
};

/** Identifies the same finding in another comparison. */
export function keyOf({ kind, order, payment, provider, lane = '' }: Finding): string {
  return [kind, order, payment, provider, lane].join('|');
}
