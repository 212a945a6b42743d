import type { PayableId } from '../domain/ids.ts';
import type { PaymentResult } from '../ledger/payments/results.ts';

/** What can differ between the books. Words that alarms and dashboards are made from. */
export const differenceKinds = [
  /** The provider has captured what we have open or declined. */
  'capture_missed',
  /** We have captured what the provider has not. */
  'capture_denied',
  'amount_differs',
  'currency_differs',
  /** The provider has given back more than we ever asked for. */
  'refunded_outside',
  /** The provider has given back less than we have as done. */
  'refund_denied',
  /** A refund that is asked for and does not get on. */
  'refund_stuck',
  'refund_failed',
  /** Money came back from the provider, and its order counts as paid still. */
  'refund_unfinished',
  'topup_not_credited',
  /** In the provider's book under a reference of our form, and not in ours. */
  'unknown_capture',
  'unknown_refund',
  'bill_unreadable',
  /** A provider said nothing of payments, or is not configured any more. */
  'provider_silent',
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

/** What one of the books says, for people. */
export type Says = Partial<Record<'ledger' | 'provider' | 'lane', string>>;

export type Difference = {
  kind: DifferenceKind;
  /** '' where there is none. */
  order: PayableId | '';
  /** The payment's reference, or the refund's; '' where there is none. */
  payment: string;
  provider: string;
  says: Says;
  /** `repaired`: it is gone. `alarm`: it is there still, and somebody has to look. */
  done: 'repaired' | 'alarm';
};

/** What can be done about a difference: all of it may be done twice, by anybody. */
export type Repair =
  | { kind: 'record'; fact: PaymentResult; order: PayableId }
  | { kind: 'settle'; order: PayableId }
  | { kind: 'refund'; payment: string };

/** A difference at one look; whether it is one shows at the next. */
export type Finding = Omit<Difference, 'done'> & {
  repair?: Repair;
  /** Worth another try, and no difference when that changes nothing: it may take its time. */
  patient?: true;
};

/** What a finding is recognised by at the next look. */
export function keyOf({ kind, order, payment, provider }: Finding): string {
  return [kind, order, payment, provider].join('|');
}
