/**
 * The clients' own book: one line for each answer that the auditor must know by name, written by
 * the workload as NDJSON, a file for each load process. Refusals that nothing was reserved before
 * are only counted. `at` is milliseconds since the epoch.
 */
export type BookLine =
  /** A 202 and its exact bytes. */
  | { kind: 'ack'; at: number; buyer: string; key: string; replayed: boolean; body: string }
  /** A refusal of a key that had been acknowledged before: a broken promise. */
  | { kind: 'refused_after_ack'; at: number; buyer: string; key: string; code: string }
  /** No answer, or outcome_unknown: an order may exist. `order` when the answer named one. */
  | { kind: 'unknown'; at: number; buyer: string; key: string; order?: string }
  /** A part of a paid order's price that its merchant gave back, under a key that stands for one refund. */
  | { kind: 'gave_back'; at: number; buyer: string; order: string; key: string; amount: number }
  /** What a later read of the order showed. */
  | { kind: 'seen'; at: number; buyer: string; order: string; state: string };

/** The sale that the book is about: its buyers, their limits, its items. */
export type BookHead = {
  drop: string;
  items: { sku: string; units: number; unitAmount: number; perBuyer: number }[];
  /** Units of all items together that one buyer may have; undefined for no such limit. */
  perBuyer?: number | undefined;
  /**
   * Every buyer of the crowd is named by one of these and a number from 0. Those who are uninvited have
   * no appointment in a drop that needs one.
   */
  crowds: { prefix: string; count: number; uninvited?: boolean }[];
};
