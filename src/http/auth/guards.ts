import type { FastifyReply, FastifyRequest } from 'fastify';
import type { BuyerId, MerchantId } from '../../domain/ids.ts';
import { invalid, Problem, sendProblem } from '../problems/problems.ts';
import { type KeyReading, readIdempotencyKey } from '../request/idempotency.ts';
import type { AuthReports, Caller } from './auth-reports.ts';
import type { Buyers } from './buyers.ts';
import { keyIdOf, type MerchantKeys } from './merchants.ts';
import { refuseOperator } from './operator.ts';
import { type CredentialRefusal, challengeOf } from './refused.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Set by requireBuyer. */
    buyer: BuyerId;
    /** Set by requireMerchant. */
    merchantId: MerchantId;
    /** Set by requireMerchant: the id of the API key, without its secret. */
    actor: string;
  }
}

export type Guards = ReturnType<typeof openGuards>;

/** Checks that run before a body is read: which buyer, merchant or operator sent the request. */
export function openGuards({
  buyers,
  merchants,
  operatorKey,
  onRefused,
}: {
  buyers: Buyers;
  merchants: MerchantKeys;
  operatorKey?: string | undefined;
  onRefused: AuthReports['onRefused'];
}) {
  function refuse(caller: Caller, reply: FastifyReply, refusal: CredentialRefusal): FastifyReply {
    onRefused(caller, refusal, reply.request.ip);
    return sendUnauthorized(reply, refusal);
  }

  // Not async: on the hot path the buyer is known at once, and a promise would delay the request.
  function requireBuyer(
    request: FastifyRequest,
    reply: FastifyReply,
    done: (error?: Error) => void,
  ): void {
    const found = buyers.identify(request.headers.authorization, request);
    if (typeof found === 'string') {
      request.buyer = found;
      done();
    } else if (found instanceof Promise) {
      found.then((later) => {
        if (typeof later !== 'string') return void refuse('buyer', reply, later);
        request.buyer = later;
        done();
      }, done);
    } else {
      refuse('buyer', reply, found);
    }
  }

  async function requireMerchant(request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
    const found = await merchants.identify(request.headers.authorization, request);
    if (typeof found !== 'string') return refuse('merchant', reply, found);
    request.merchantId = found;
    request.actor = keyIdOf(request.headers.authorization);
    return undefined;
  }

  async function requireOperator(request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
    const refusal = refuseOperator(request.headers.authorization, operatorKey);
    return refusal && refuse('operator', reply, refusal);
  }

  return { requireBuyer, requireMerchant, requireOperator };
}

function sendUnauthorized(reply: FastifyReply, refusal: CredentialRefusal): FastifyReply {
  reply.header('www-authenticate', challengeOf(refusal));
  return sendProblem(reply, 'unauthorized', { reason: refusal.reason });
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
