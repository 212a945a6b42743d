/**
 * What autocannon's workers are given. They are threads: `next` is shared by all, so that no two of
 * them send a Buy of the same buyer.
 */
export type LoadContext = {
  /** A file of tokens, one a line. */
  tokens: string;
  /** The folder for the workers' books. */
  folder: string;
  /** How many buyers have been taken, as an Int32. A view of it would be copied, not shared. */
  next: SharedArrayBuffer;
  /** The buyer of the Buy that is under way on this connection. */
  buyer?: string;
};

/** A line of a worker's book: what a Buy was answered. */
export type Heard = {
  buyer: string;
  status: number;
  /** The refusal's code; '' when it has none. */
  code: string;
  /** The order's id, when accepted. */
  order?: string;
};

export const bookName = /^heard-\d+\.ndjson$/;
