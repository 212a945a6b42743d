import { Stripe } from 'stripe';

export type Failure =
  /** Stripe has no such object. */
  | 'absent'
  /** The idempotency key was used before, with other parameters. */
  | 'key_reused'
  /** A failure of Stripe's own that it kept under the key: whatever ran has ended. */
  | 'kept_failure'
  /** Stripe will not do this, however often it is asked. */
  | 'refused'
  /** No answer, or one that says nothing of what was done; or too much was asked of it. */
  | 'unknown';

/**
 * What an error of Stripe's library says about the request. Throws it on when it says nothing about
 * this request but that none can be made, which somebody has to put right.
 */
export type FailureOf = (error: unknown) => Failure;

/** Tells the operator of what Stripe refuses and of what it fails to answer. */
export function openFailures(warn: (message: string) => void): FailureOf {
  return (error) => {
    const failure = failureOf(error);
    if (failure === 'refused') warn(`Stripe refuses: ${wordsOf(error)}`);
    if (failure === 'unknown') warn(`Stripe does not answer: ${wordsOf(error)}`);
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
  // 409: another request under the key is under way.
  return status === 400 || status === 402 ? 'refused' : 'unknown';
}

/** Stripe's words about a refusal, for people. */
export function wordsOf(error: unknown): string {
  if (!(error instanceof Stripe.errors.StripeError)) return 'refused';
  return error.code ? `${error.code}: ${error.message}` : error.message;
}

/** Whether an answer is one that Stripe kept under the idempotency key: it may be out of date. */
export function isReplay(headers: Record<string, string> | undefined): boolean {
  return headers?.['idempotent-replayed'] === 'true';
}
