export type ProblemEntry = {
  status: number;
  title: string;
  /** What the caller can do about it. */
  detail: string;
  /** The request may succeed later: the answer carries Retry-After and `retryAfterMs`. */
  retry?: true;
};
