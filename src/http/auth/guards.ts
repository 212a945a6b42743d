import type { FastifyReply, FastifyRequest } from 'fastify';
import type { BuyerId, MerchantId } from '../../domain/ids.ts';
import { invalid, Problem, sendProblem } from '../problems/problems.ts';
import { type KeyReading, readIdempotencyKey } from '../request/idempotency.ts';
import type { Buyers } from './buyers.ts';
import type { MerchantKeys } from './merchants.ts';
import { isOperator } from './operator.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Set by requireBuyer. */
    buyer: BuyerId;
    /** Set by requireMerchant. */
    merchantId: MerchantId;
  }
}

export type Guards = ReturnType<typeof openGuards>;

/** Checks that run before a body is read: which buyer, merchant or operator sent the request. */
export function openGuards({
  buyers,
  merchants,
  operatorKey,
}: {
  buyers: Buyers;
  merchants: MerchantKeys;
  operatorKey?: string | undefined;
}) {
  // Not async: on the hot path the buyer is known at once, and a promise would delay the request.
  function requireBuyer(
    request: FastifyRequest,
    reply: FastifyReply,
    done: (error?: Error) => void,
  ): void {
    const found = buyers.identify(request.headers.authorization);
    if (typeof found === 'string') {
      request.buyer = found;
      done();
    } else if (found === undefined) {
      sendProblem(reply, 'unauthorized');
    } else {
      found.then((buyer) => {
        if (buyer === undefined) return void sendProblem(reply, 'unauthorized');
        request.buyer = buyer;
        done();
      }, done);
    }
  }

  async function requireMerchant(request: FastifyRequest): Promise<void> {
    const merchantId = await merchants.identify(request.headers.authorization);
    if (merchantId === undefined) throw new Problem('unauthorized');
    request.merchantId = merchantId;
  }

  async function requireOperator({ headers }: FastifyRequest): Promise<void> {
    if (!isOperator(headers.authorization, operatorKey)) throw new Problem('unauthorized');
  }

  return { requireBuyer, requireMerchant, requireOperator };
}

/**
 * The Idempotency-Key of a request that needs one.
 * @throws Problem idempotency_key_missing or invalid_request
 */
export function requireKey(request: FastifyRequest): string {
  const reading: KeyReading = readIdempotencyKey(request.headers['idempotency-key']);
  if ('key' in reading) return reading.key;
  if ('missing' in reading) throw new Problem('idempotency_key_missing');
  throw invalid('Idempotency-Key', reading.reason);
}
