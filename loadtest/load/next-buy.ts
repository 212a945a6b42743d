import type { LoadContext } from './context.ts';
import { type BuyerToken, readTokens } from './tokens.ts';

let tokens: readonly BuyerToken[] | undefined;

/** Called by autocannon before each request: the Buy of a buyer who has not pressed yet. */
function nextBuy<R extends { headers?: object }>(request: R, context: LoadContext): R {
  tokens ??= readTokens(context.tokens);
  const one = tokens[Atomics.add(new Int32Array(context.next), 0, 1)];
  if (!one) throw new Error('bug: more Buys than buyers');
  context.buyer = one.buyer;
  const headers = {
    authorization: `Bearer ${one.token}`,
    'content-type': 'application/json',
    'idempotency-key': `load-${one.buyer}`,
  };
  return { ...request, headers };
}

// The workers load this file with require(), which is given the function itself.
export { nextBuy as 'module.exports' };
