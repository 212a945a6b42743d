import { appointmentProblems } from './appointments.ts';
import { merchantProblems } from './merchants.ts';
import type { ProblemEntry } from './problem-entry.ts';

/**
 * Every refusal and failure of the HTTP API. docs/errors.md and the OpenAPI document list the same
 * codes; a test compares the three. The meaning of a code never changes.
 */
export const problems = {
  invalid_request: {
    status: 400,
    title: 'The request is not valid',
    detail: 'Correct the fields in `errors`, each with its reason, and send the request again.',
  },
  import_columns: {
    status: 400,
    title: 'It is not clear which column of the list has the buyers',
    detail:
      'Nothing was imported. Name one of `columns` in the query, such as `?column=email`. If the first line is a buyer already, send `?header=absent`.',
  },
  idempotency_key_missing: {
    status: 400,
    title: 'The Idempotency-Key header is missing',
    detail:
      'Send a key that is unique for each purchase, such as a UUID, and send the same key on every retry.',
  },
  request_refused: {
    status: 400,
    title: 'The server refused the request',
    detail:
      'The status says why, and may be another 4xx than 400. Check the request against /openapi.json.',
  },
  unauthorized: {
    status: 401,
    title: 'Valid credentials are missing',
    detail:
      'Send `Authorization: Bearer` with a valid token (buyers) or API key (merchants). `reason` says what is wrong.',
  },
  topups_closed: {
    status: 403,
    title: 'Free top-ups are not available',
    detail: 'Name a `method` to pay with. Money without a payment exists only in demo mode.',
  },
  no_appointment: {
    status: 403,
    title: 'You have no appointment for this drop',
    detail:
      'Only buyers with an appointment can buy. Make one with POST /v1/drops/:drop/appointment before `until`.',
  },
  payment_password_needed: {
    status: 403,
    title: 'This order needs the payment password',
    detail: 'Send `password`, the six digits that the buyer set with PUT /v1/wallet/password.',
  },
  payment_password_wrong: {
    status: 403,
    title: 'The payment password is wrong',
    detail: 'Ask the buyer again: after `triesLeft` more wrong tries the password is locked.',
  },
  payment_password_locked: {
    status: 403,
    title: 'The payment password is locked',
    detail:
      'There were too many wrong tries in a row. No password is accepted before `until`, not even the right one. The wallet was not charged.',
    retry: true,
  },
  not_found: {
    status: 404,
    title: 'There is nothing at this address',
    detail: 'Check the path against /openapi.json.',
  },
  unknown_merchant: {
    status: 404,
    title: 'There is no such merchant',
    detail: 'Check the merchant id, as it was shown when the merchant was created.',
  },
  unknown_drop: {
    status: 404,
    title: 'There is no such drop',
    detail: 'Check the drop id: the drop does not exist, is not published yet, or is not yours.',
  },
  unknown_store: {
    status: 404,
    title: 'There is no such store',
    detail: 'Check the id of the merchant.',
  },
  unknown_item: {
    status: 404,
    title: 'The drop has no such item',
    detail: 'Use a `sku` that GET /v1/drops/:drop lists.',
  },
  unknown_order: {
    status: 404,
    title: 'There is no such order',
    detail: 'Check the order id: the order does not exist or is not yours.',
  },
  unknown_appointment: {
    status: 404,
    title: 'You have no appointment',
    detail: 'Make one with POST /v1/drops/:drop/appointment while its window is open.',
  },
  unknown_topup: {
    status: 404,
    title: 'There is no such top-up',
    detail: 'Check the id: the top-up does not exist or is not yours.',
  },
  method_not_allowed: {
    status: 405,
    title: 'The address does not support this method',
    detail: 'Use one of the methods in the Allow header.',
  },
  request_timeout: {
    status: 408,
    title: 'The request did not arrive in time',
    detail: 'Send the whole request without a pause. Nothing was done.',
  },
  sold_out: {
    status: 409,
    title: 'Sold out',
    detail: 'Every unit is sold and none is held, so no unit will come back. This is final.',
  },
  all_held: {
    status: 409,
    title: 'All remaining units are held by other buyers',
    detail:
      'A unit is on sale again when a hold ends without payment. Try again after the stated time.',
    retry: true,
  },
  buyer_limit: {
    status: 409,
    title: 'You have reached the limit per buyer',
    detail:
      'One buyer may have `limit` units of this item, or of all items of the drop when `scope` is `drop`, held and paid ones together, and this order would be more. Ask for fewer units, or look at your orders: `order`, where there is one, keeps units for you.',
  },
  lapse_limit: {
    status: 409,
    title: 'Too many of your orders ended unpaid',
    detail:
      '`lapses` of your orders expired, were cancelled or were declined; this drop allows `limit`. It accepts no more orders from you until it ends.',
  },
  drop_not_open: {
    status: 409,
    title: 'The drop is not open yet',
    detail: 'Try again at `startsAt`.',
    retry: true,
  },
  drop_paused: {
    status: 409,
    title: 'The drop is paused',
    detail: 'The merchant may resume it. Follow the drop and try again when it is open.',
  },
  ...appointmentProblems,
  order_paid: {
    status: 409,
    title: 'The order is already paid',
    detail: 'It cannot be paid again or cancelled. The merchant can refund it.',
  },
  order_ended: {
    status: 409,
    title: 'The order has ended',
    detail: 'The order is `state` and can no longer be paid. Buy again while the drop is open.',
  },
  payment_time_over: {
    status: 409,
    title: 'The time to pay is over',
    detail:
      'The hold is about to end, so no new payment is started. Buy again while the drop is open.',
  },
  payment_method_not_offered: {
    status: 409,
    title: 'This payment method is not available',
    detail:
      'Use a method that GET /v1/drops/:drop lists in `paymentMethods`. A provider may list one and not take this amount: then another quantity or method is needed.',
  },
  payment_refused: {
    status: 409,
    title: 'The provider refused this payment',
    detail: 'Nothing was charged. Choose another payment method.',
  },
  payment_attempts_over: {
    status: 409,
    title: 'Too many payments were started for this order',
    detail: 'No more can be started. The units are on sale again when the hold ends.',
  },
  topups_open: {
    status: 409,
    title: 'Too many top-ups are open',
    detail: 'Pay an open top-up, or wait: each is closed half an hour after its start.',
  },
  insufficient_funds: {
    status: 409,
    title: 'The wallet balance is lower than the price',
    detail:
      'Nothing was charged. Add money with POST /v1/wallet/topups, or choose another payment method.',
  },
  payment_password_not_set: {
    status: 409,
    title: 'No payment password is set',
    detail: 'Set one with PUT /v1/wallet/password, then send it with the payment.',
  },
  drop_ended: {
    status: 410,
    title: 'The drop is over',
    detail: 'It has ended or was cancelled. No more orders are accepted.',
  },
  body_too_large: {
    status: 413,
    title: 'The body is too large',
    detail: 'Send at most 16 KiB; a Buy may have 64 KiB, the definition of a drop 1 MiB.',
  },
  unsupported_media_type: {
    status: 415,
    title: 'This content type is not supported here',
    detail:
      'Send JSON with `Content-Type: application/json`. Only lists of buyers are sent as application/x-ndjson or text/csv.',
  },
  idempotency_key_reused: {
    status: 422,
    title: 'This Idempotency-Key was used for another request',
    detail: 'Send the first request unchanged, or use a new key for a new request.',
  },
  payment_password_busy: {
    status: 429,
    title: 'The payment password cannot be checked right now',
    detail:
      "One check of a buyer's password runs at a time, and ten minutes have room for twenty. Nothing was compared, and no try is lost. Wait as long as Retry-After says.",
    retry: true,
  },
  rate_limited: {
    status: 429,
    title: 'Too many requests from this caller',
    detail:
      'Nothing was done. Wait for the stated time, then send the request again with the same key.',
    retry: true,
  },
  already_running: {
    status: 429,
    title: 'An audit, export or search of yours is already running',
    detail: 'There is one at a time for each caller. Wait for its end, then ask again.',
    retry: true,
  },
  streams_open: {
    status: 429,
    title: 'Too many live streams are open',
    detail: 'Close a stream that you no longer read, or poll instead.',
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
    detail:
      'Include `requestId` when you report it. It is safe to send the same Idempotency-Key again.',
  },
  overloaded: {
    status: 503,
    title: 'The engine is overloaded',
    detail:
      'Nothing was done. Wait for the stated time, then send the request again with the same key.',
    retry: true,
  },
  outcome_unknown: {
    status: 503,
    title: 'The outcome is not known yet',
    detail:
      'The request may have been carried out. Look up the order in `order`, or send the same request again with the same key after the stated time: nothing is bought or refunded twice.',
    retry: true,
  },
  payment_unknown: {
    status: 503,
    title: 'The provider has not answered',
    detail:
      'The payment may have been started or captured. Send the same request again after the stated time: it continues the payment and never charges twice.',
    retry: true,
  },
  unavailable: {
    status: 503,
    title: 'A part of the engine is unavailable',
    detail: 'Wait for the stated time and try again.',
    retry: true,
  },
  drop_frozen: {
    status: 503,
    title: 'The drop is frozen until its stock is rebuilt',
    detail: 'Lanes have lost data. No unit is sold before an operator has rebuilt the drop.',
    retry: true,
  },
  ...merchantProblems,
} as const satisfies Record<string, ProblemEntry>;
