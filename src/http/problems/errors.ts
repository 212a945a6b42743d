import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type {
  FastifyError,
  FastifyInstance,
  FastifyReply,
  FastifyRequest,
  RouteOptions,
} from 'fastify';
import { QueueFull } from '../../batching/batcher.ts';
import { LedgerError } from '../../ledger/database/database.ts';
import type { Logger } from '../../log.ts';
import { KeySetError } from '../auth/jwks.ts';
import { isImporting } from '../import/importing.ts';
import {
  invalid,
  Problem,
  type ProblemCode,
  problems,
  problemText,
  problemType,
  sendProblem,
} from './problems.ts';

/** Answers every error, unknown address and wrong method from the catalogue. */
export function openErrors(log: Logger) {
  function answer(error: Error, request: FastifyRequest, reply: FastifyReply): void {
    const problem = problemOf(error);
    if (problem) {
      sendProblem(reply, problem.code, problem.members);
      return;
    }
    // The caller gets an id, the log the rest: what went wrong inside is nobody else's to read.
    const requestId = request.id;
    const route = `${request.method} ${request.routeOptions?.url ?? ''}`;
    if (isOutage(error)) {
      log.warn({ requestId, route, reason: error.message }, 'a part does not answer');
      sendProblem(reply, 'unavailable');
      return;
    }
    log.error({ requestId, route, err: error }, 'a request failed');
    sendProblem(reply, 'internal_error', { requestId });
  }

  return {
    /** For errors before a route is found, such as an address that cannot be decoded. */
    onFrameworkError: (error: FastifyError, request: FastifyRequest, reply: FastifyReply) =>
      answer(error, request, reply),

    handle(app: FastifyInstance): void {
      const known: { pattern: RegExp; method: string }[] = [];
      app.addHook('onRoute', ({ url, method }: RouteOptions) => {
        const pattern = new RegExp(`^${url.replace(/:[a-z]+/g, '[^/]+').replace('*', '.*')}$`);
        for (const name of [method].flat()) known.push({ pattern, method: name });
      });

      app.setNotFoundHandler((request, reply) => {
        const path = request.url.split('?', 1)[0] as string;
        const found = known.filter(({ pattern }) => pattern.test(path));
        if (found.length === 0) return sendProblem(reply, 'not_found');
        reply.header('allow', [...new Set(found.map(({ method }) => method))].sort().join(', '));
        return sendProblem(reply, 'method_not_allowed');
      });

      app.setErrorHandler<Error>(answer);
    },
  };
}

/** Requests that Node itself gives up on: late, too large, or not HTTP. */
export function onClientError(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed) return;
  if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT' && isImporting(socket)) return;
  const problem = clientErrors[error.code ?? ''] ?? invalid('request', 'is not valid HTTP');
  const body = problemText(problem.code, problem.members);
  const { status } = problems[problem.code];
  if (socket.writable) {
    socket.write(
      `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nContent-Type: ${problemType}\r\n` +
        `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
    );
  }
  socket.destroySoon();
}

const clientErrors: Record<string, Problem> = {
  ERR_HTTP_REQUEST_TIMEOUT: new Problem('request_timeout'),
  HPE_HEADER_OVERFLOW: new Problem('headers_too_large'),
};

function problemOf(error: Error): Problem | undefined {
  if (error instanceof Problem) return error;
  if (error instanceof QueueFull) return new Problem('overloaded');
  const code = (error as FastifyError).code ?? '';
  const field = fastifyFields[code];
  if (field) return invalid(field[0], field[1]);
  const known: ProblemCode | undefined = fastifyProblems[code];
  if (known) return new Problem(known);
  // Whatever else Fastify or Node blames on the request, without their words for it.
  const status = (error as FastifyError).statusCode;
  return status === 400 ? invalid('request', 'is not valid') : undefined;
}

const fastifyProblems: Record<string, ProblemCode> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'body_too_large',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'unsupported_media_type',
  // A part of a path longer than any id of ours.
  FST_ERR_MAX_PARAM_LENGTH: 'not_found',
};

const fastifyFields: Record<string, [field: string, reason: string]> = {
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: ['Content-Length', 'is not the length of the body'],
  FST_ERR_BAD_URL: ['path', 'is not a valid address'],
};

const outageCodes = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EAI_AGAIN',
  // PostgreSQL: connection trouble, too many connections, shutting down, starting up.
  '08000',
  '08003',
  '08006',
  '53300',
  '57P01',
  '57P02',
  '57P03',
]);
const outageNames = new Set(['MaxRetriesPerRequestError', 'ClusterAllFailedError', 'AbortError']);
const outageWords =
  /^(?:OOM|MISCONF|READONLY|LOADING|BUSY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|NOREPLICAS) |^Command timed out|^Connection is closed|^Stream isn't writeable|^Connection terminated|timeout exceeded when trying to connect/;

/** True when Redis, the ledger or the key server did not answer; anything else is a fault of ours. */
export function isOutage(error: Error): boolean {
  if (error instanceof LedgerError || error instanceof KeySetError) return true;
  const { code } = error as { code?: string };
  if (code !== undefined && outageCodes.has(code)) return true;
  return outageNames.has(error.name) || outageWords.test(error.message);
}
