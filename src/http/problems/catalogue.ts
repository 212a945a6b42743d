export type ProblemEntry = {
  status: number;
  title: string;
  /** What the caller can do about it. */
  detail: string;
  /** Worth repeating: the answer carries Retry-After and `retryAfterMs`. */
  retry?: true;
};

/**
 * Every refusal and failure this program answers with. docs/errors.md and the OpenAPI document list
 * the same codes, and a test holds the three together. Codes never change their meaning.
 */
export const problems = {
  invalid_request: {
    status: 400,
    title: 'The request is not valid',
    detail: 'Correct what `errors` names, each with its field and reason, and send it again.',
  },
  idempotency_key_missing: {
    status: 400,
    title: 'The Idempotency-Key header is missing',
    detail:
      'Send a key that is yours alone and new for each purchase, such as a UUID, and repeat the same key on every retry.',
  },
  unauthorized: {
    status: 401,
    title: 'Valid credentials are missing',
    detail:
      'Send Authorization: Bearer with a token (buyers) or an API key (merchants) that is valid now.',
  },
  topups_closed: {
    status: 403,
    title: 'Top-ups are not offered here',
    detail: 'Only an engine in demo mode adds money that nobody paid: name a `method` to pay by.',
  },
  no_appointment: {
    status: 403,
    title: 'You have no appointment for this drop',
    detail:
      'Only buyers with an appointment can buy. Make one with POST /v1/drops/:drop/appointment before `until`; after it no more are made.',
  },
  payment_password_needed: {
    status: 403,
    title: 'The order is paid with the payment password only',
    detail: 'Send `password`, the six digits that the buyer set with PUT /v1/wallet/password.',
  },
  payment_password_wrong: {
    status: 403,
    title: 'The payment password is wrong',
    detail: 'Ask the buyer again: `triesLeft` more tries are taken before it is locked.',
  },
  payment_password_locked: {
    status: 403,
    title: 'The payment password is locked',
    detail:
      'Too many tries went wrong in a row. None is taken before `until`, the right one neither; the wallet is untouched.',
    retry: true,
  },
  not_found: {
    status: 404,
    title: 'There is nothing at this address',
    detail: 'Check the path against /openapi.json.',
  },
  unknown_drop: {
    status: 404,
    title: 'There is no such drop',
    detail: 'Check the drop id: it is unknown, not published yet, or not yours.',
  },
  unknown_item: {
    status: 404,
    title: 'The drop has no such item',
    detail: 'Use a sku that GET /v1/drops/:drop lists.',
  },
  unknown_order: {
    status: 404,
    title: 'There is no such order',
    detail: 'Check the order id: it is unknown or not yours.',
  },
  unknown_appointment: {
    status: 404,
    title: 'You have no appointment',
    detail: 'Make one with POST /v1/drops/:drop/appointment while the window for it is open.',
  },
  unknown_topup: {
    status: 404,
    title: 'There is no such top-up',
    detail: 'Check the id: it is unknown or not yours.',
  },
  method_not_allowed: {
    status: 405,
    title: 'The address does not take this method',
    detail: 'Use one of the methods in the Allow header.',
  },
  request_timeout: {
    status: 408,
    title: 'The request did not arrive in time',
    detail: 'Send the whole request without a pause; nothing was done.',
  },
  sold_out: {
    status: 409,
    title: 'Sold out',
    detail: 'Every unit is sold, and none is held that could come back. This is final.',
  },
  all_held: {
    status: 409,
    title: 'All remaining units are held by other buyers',
    detail: 'A unit is on sale again when a hold ends unpaid: try again after the stated time.',
    retry: true,
  },
  buyer_limit: {
    status: 409,
    title: 'You have reached the limit per buyer',
    detail: 'Look at the order named in `order`, which holds what you may have of this item.',
  },
  drop_not_open: {
    status: 409,
    title: 'The drop is not open yet',
    detail: 'Come back at `startsAt`.',
    retry: true,
  },
  drop_paused: {
    status: 409,
    title: 'The drop is paused',
    detail: 'The merchant may resume it: follow the drop and try again when it is open.',
  },
  appointments_not_offered: {
    status: 409,
    title: 'The drop needs no appointment',
    detail: 'Everybody can buy when it is open.',
  },
  appointments_not_open: {
    status: 409,
    title: 'Appointments are not made yet',
    detail: 'Come back between `from` and `until`.',
    retry: true,
  },
  appointments_closed: {
    status: 409,
    title: 'Appointments are no longer made',
    detail:
      'The window ended at `until`, or the drop is over; only buyers with an appointment can buy.',
  },
  drop_action_refused: {
    status: 409,
    title: "The drop's state does not allow this",
    detail: 'Look at `state`: this action does not apply to it.',
  },
  stock_taken: {
    status: 409,
    title: 'Fewer units are free than would be taken away',
    detail: 'Units that are held or sold stay: take away `available` at most.',
  },
  allotment_over: {
    status: 409,
    title: 'The allotment would grow beyond 10,000,000 units',
    detail: 'Add fewer units: the allotment is `allotment` now.',
  },
  order_paid: {
    status: 409,
    title: 'The order is paid',
    detail: 'It is neither paid again nor cancelled; the merchant can refund it.',
  },
  order_not_paid: {
    status: 409,
    title: 'The order is not paid',
    detail: 'Only a paid order is refunded; this one is `state`.',
  },
  order_ended: {
    status: 409,
    title: 'The order has ended',
    detail: 'It is `state`: nothing can be paid for it any more. Buy again while the drop is open.',
  },
  payment_time_over: {
    status: 409,
    title: 'The time to pay is over',
    detail:
      'The hold of the units is about to end, so no payment is begun any more. Buy again while the drop is open.',
  },
  payment_method_not_offered: {
    status: 409,
    title: 'This way to pay is not offered here',
    detail: 'Choose one that GET /v1/drops/:drop lists as `paymentMethods`.',
  },
  payment_refused: {
    status: 409,
    title: 'The provider refuses this payment',
    detail: 'Nothing was charged and nothing will be. Choose another way to pay.',
  },
  payment_attempts_over: {
    status: 409,
    title: 'Too many payments were begun for this order',
    detail: 'None is begun any more; the units go back on sale when the hold ends.',
  },
  topups_open: {
    status: 409,
    title: 'Too many top-ups were begun',
    detail:
      'Pay one that is open, or wait: each is closed half an hour after its beginning, and then another may be begun.',
  },
  insufficient_funds: {
    status: 409,
    title: 'The wallet holds less than the price',
    detail:
      'Nothing was charged. Add money with POST /v1/wallet/topups, or choose another way to pay.',
  },
  refund_exceeds: {
    status: 409,
    title: 'More would be given back than was paid',
    detail: 'Ask for `refundable` at most: the rest has been given back or is on its way.',
  },
  payment_password_not_set: {
    status: 409,
    title: 'No payment password is set',
    detail: 'Set one with PUT /v1/wallet/password, then send it with the payment.',
  },
  drop_ended: {
    status: 410,
    title: 'The drop is over',
    detail: 'It has ended or was cancelled; no more orders are taken.',
  },
  body_too_large: {
    status: 413,
    title: 'The body is too large',
    detail: 'Send at most 16 KiB.',
  },
  unsupported_media_type: {
    status: 415,
    title: 'The body is of a type that is not taken here',
    detail:
      'Send JSON with Content-Type: application/json; lists of buyers alone are application/x-ndjson or text/csv.',
  },
  idempotency_key_reused: {
    status: 422,
    title: 'This Idempotency-Key was used for another request',
    detail: 'Repeat the first request exactly, or use a new key for a new one.',
  },
  rate_limited: {
    status: 429,
    title: 'Too many requests from this buyer',
    detail: 'Nothing was done. Wait for the stated time, then use the same key again.',
    retry: true,
  },
  headers_too_large: {
    status: 431,
    title: 'The headers are too large',
    detail: 'Send at most 8 KiB of headers.',
  },
  internal_error: {
    status: 500,
    title: 'Something went wrong on our side',
    detail: 'Name `requestId` when you report it. The same Idempotency-Key is safe to repeat.',
  },
  overloaded: {
    status: 503,
    title: 'More requests than can be served right now',
    detail: 'Nothing was done. Wait for the stated time, then use the same key again.',
    retry: true,
  },
  outcome_unknown: {
    status: 503,
    title: 'The outcome is not known yet',
    detail:
      'The order named in `order` may exist: look it up, or repeat with the same key, which never buys twice.',
    retry: true,
  },
  payment_unknown: {
    status: 503,
    title: 'The provider has not answered',
    detail:
      'The payment may have begun or ended. Send the same again after the stated time: it goes on from there and never charges twice.',
    retry: true,
  },
  import_broken_off: {
    status: 503,
    title: 'The import broke off',
    detail:
      'The first `lines` lines are in for certain, later ones may be. Send the whole list again: who has an appointment keeps it.',
    retry: true,
  },
  unavailable: {
    status: 503,
    title: 'A part of the engine does not answer',
    detail: 'Wait for the stated time and try again.',
    retry: true,
  },
  drop_frozen: {
    status: 503,
    title: 'The drop is frozen until its stock is rebuilt',
    detail: 'Lanes have lost data. No unit is sold before an operator has rebuilt the drop.',
    retry: true,
  },
} as const satisfies Record<string, ProblemEntry>;
