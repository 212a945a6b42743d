import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { QueueFull } from '../../batching/batcher.ts';
import type { Logger } from '../../log.ts';
import { isOutage } from '../problems/outage.ts';
import { invalid, Problem, type ProblemCode, sendProblem } from '../problems/problems.ts';
import { answerHeaders } from './answer-headers.ts';
import type { RouteTable } from './route-table.ts';

/** Answers every error, unknown address and wrong method from the catalogue. */
export function openErrors(log: Logger, routes: Pick<RouteTable, 'methodsAt'>) {
  function answer(error: Error, request: FastifyRequest, reply: FastifyReply): void {
    const problem = problemOf(error);
    if (problem) {
      sendProblem(reply, problem.code, problem.members);
      return;
    }
    // The caller gets an id and the log the error: internals must not leak into answers.
    const requestId = request.id;
    const route = `${request.method} ${request.routeOptions?.url ?? ''}`;
    if (isOutage(error)) {
      log.warn(
        { requestId, route, reason: error.message },
        'request failed: a store is unavailable',
      );
      sendProblem(reply, 'unavailable');
      return;
    }
    log.error({ requestId, route, err: error }, 'request failed');
    sendProblem(reply, 'internal_error', { requestId });
  }

  return {
    /** For errors before a route is found, such as an address that cannot be decoded. */
    onFrameworkError(error: FastifyError, request: FastifyRequest, reply: FastifyReply): void {
      // No hook runs for these.
      reply.headers(answerHeaders);
      answer(error, request, reply);
    },

    /** Installs the handlers of errors, unknown addresses and wrong methods. */
    handle(app: FastifyInstance): void {
      app.setNotFoundHandler((request, reply) => {
        const methods = routes.methodsAt(request.url);
        // A plugin may look for something at an address that it has, such as a file, and find nothing.
        if (methods.length === 0 || methods.includes(request.method)) {
          return sendProblem(reply, 'not_found');
        }
        reply.header('allow', methods.join(', '));
        return sendProblem(reply, 'method_not_allowed');
      });

      app.setErrorHandler<Error>(answer);
    },
  };
}

/** The refusal that an error stands for; undefined for outages and bugs. */
function problemOf(error: Error & { code?: unknown; statusCode?: unknown }): Problem | undefined {
  if (error instanceof Problem) return error;
  if (error instanceof QueueFull) return new Problem('overloaded');
  const code = typeof error.code === 'string' ? error.code : '';
  const field = fastifyFields[code];
  if (field) return invalid(field.name, field.reason);
  const known = fastifyProblems[code];
  if (known) return new Problem(known);
  return isFrameworkError(error) ? refusalOf(error.statusCode) : undefined;
}

/**
 * Whether Fastify or a plugin made the error: their codes begin with FST_, and http-errors, which plugins
 * use, gives `expose`. Other errors may have a `statusCode` too, such as that of a payment provider.
 */
function isFrameworkError(error: Error & { code?: unknown }): boolean {
  return (typeof error.code === 'string' && error.code.startsWith('FST_')) || 'expose' in error;
}

/** What Fastify or a plugin blames on the request, under its status and without its message. */
function refusalOf(status: unknown): Problem | undefined {
  if (typeof status !== 'number' || status < 400 || status > 499) return undefined;
  if (status === 400) return invalid('request', 'is not valid');
  const known = statusProblems[status];
  return known ? new Problem(known) : new Problem('request_refused', { status });
}

const statusProblems: Record<number, ProblemCode> = {
  404: 'not_found',
  405: 'method_not_allowed',
  408: 'request_timeout',
  413: 'body_too_large',
  415: 'unsupported_media_type',
  431: 'headers_too_large',
};

const fastifyProblems: Record<string, ProblemCode> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'body_too_large',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'unsupported_media_type',
  // A path parameter longer than any of our ids.
  FST_ERR_MAX_PARAM_LENGTH: 'not_found',
};

const fastifyFields: Record<string, { name: string; reason: string }> = {
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: {
    name: 'Content-Length',
    reason: 'is not the length of the body',
  },
  FST_ERR_BAD_URL: { name: 'path', reason: 'is not a valid address' },
};
