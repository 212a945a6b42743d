/** A request that Stripe answers with an error body. */
export class StripeRefusal extends Error {
  readonly status: number;
  readonly body: { error: Record<string, string> };
  /** Whether the answer is kept under the idempotency key: true once the request began to run. */
  readonly isKept: boolean;

  constructor(status: number, error: Record<string, string>, isKept: boolean) {
    super(error['message']);
    this.status = status;
    this.body = { error };
    this.isKept = isKept;
  }
}

type Details = { code?: string; param?: string };

/** The parameters are invalid; nothing was executed. */
export function invalid(message: string, details: Details = {}): StripeRefusal {
  return new StripeRefusal(400, { ...details, message, type: 'invalid_request_error' }, false);
}

/** The request is valid but the object's state does not allow it. */
export function impossible(message: string, details: Details = {}): StripeRefusal {
  return new StripeRefusal(400, { ...details, message, type: 'invalid_request_error' }, true);
}

export function missing(kind: string, id: string, param = 'id'): StripeRefusal {
  const message = `No such ${kind}: '${id}'`;
  const error = { code: 'resource_missing', message, param, type: 'invalid_request_error' };
  return new StripeRefusal(404, error, false);
}

export function unauthorized(message: string): StripeRefusal {
  return new StripeRefusal(401, { message, type: 'invalid_request_error' }, false);
}

export function keyReused(message: string): StripeRefusal {
  return new StripeRefusal(400, { message, type: 'idempotency_error' }, false);
}
