import { withDeadline } from '../../scheduling/deadline.ts';

/**
 * Each resolves when the store takes writes and rejects when it does not. Anybody may ask at any rate,
 * so an answer is kept for a while.
 */
export type Health = { redis(): Promise<unknown>; ledger(): Promise<unknown> };

/** Which stores take writes. */
export type Readiness = { redis: boolean; ledger: boolean };

const answerMsMax = 1_000;

/** Asks the stores. One that does not answer within a second counts as down. */
export async function readinessOf(health: Health): Promise<Readiness> {
  const [redis, ledger] = await Promise.all([
    doesAnswer(health.redis()),
    doesAnswer(health.ledger()),
  ]);
  return { redis, ledger };
}

async function doesAnswer(asked: Promise<unknown>): Promise<boolean> {
  return (await withDeadline(asked.then(isTrue, isFalse), answerMsMax)) ?? false;
}

const isTrue = () => true;
const isFalse = () => false;
