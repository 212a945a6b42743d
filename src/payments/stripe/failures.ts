import { Stripe } from 'stripe';

export type Failure =
  /** Stripe has no such object. */
  | 'absent'
  /** The idempotency key was used before with other parameters. */
  | 'key_reused'
  /** A failure of Stripe's that it repeats for the key: the request it belongs to has ended. */
  | 'kept_failure'
  /** Stripe refuses for good. */
  | 'refused'
  /** No answer, one that leaves open what was done, or too many requests. */
  | 'unknown';

/**
 * What an error of Stripe's library says about the request.
 * @throws Error when it says that no request can be made: the secret key is wrong or lacks a right
 */
export type FailureOf = (error: unknown) => Failure;

/** Reads errors of Stripe's library, and logs what Stripe refuses or fails to answer. */
export function openFailures(warn: (message: string) => void): FailureOf {
  return (error) => {
    const failure = failureOf(error);
    if (failure === 'refused') warn(`Stripe refuses: ${explanationOf(error)}`);
    if (failure === 'unknown') warn(`Stripe does not answer: ${explanationOf(error)}`);
    return failure;
  };
}

function failureOf(error: unknown): Failure {
  const { errors } = Stripe;
  if (error instanceof errors.StripeAuthenticationError) {
    throw new Error(
      'Stripe does not know the secret key: FLASHDROP_STRIPE_SECRET_KEY must be one of the account',
      { cause: error },
    );
  }
  if (error instanceof errors.StripePermissionError) {
    throw new Error(
      'the secret key may not do this at Stripe: FLASHDROP_STRIPE_SECRET_KEY needs to write ' +
        'Checkout Sessions and refunds and to read payment intents and charges',
      { cause: error },
    );
  }
  if (!(error instanceof errors.StripeError)) throw error;
  if (error instanceof errors.StripeIdempotencyError) return 'key_reused';
  if (error instanceof errors.StripeRateLimitError) return 'unknown';
  const status = error.statusCode ?? 0;
  if (status === 404 || error.code === 'resource_missing') return 'absent';
  if (status >= 500) return isReplay(error.headers) ? 'kept_failure' : 'unknown';
  // 409: another request under the same key is under way.
  return status === 400 || status === 402 ? 'refused' : 'unknown';
}

/** Stripe's explanation of a refusal, for people. */
export function explanationOf(error: unknown): string {
  if (!(error instanceof Stripe.errors.StripeError)) return 'refused';
  return error.code ? `${error.code}: ${error.message}` : error.message;
}

/** Whether Stripe repeats the first answer to an idempotency key: it may be out of date. */
export function isReplay(headers: Record<string, string> | undefined): boolean {
  return headers?.['idempotent-replayed'] === 'true';
}
