import type {
  FastifyError,
  FastifyInstance,
  FastifyReply,
  FastifyRequest,
  RouteOptions,
} from 'fastify';
import { QueueFull } from '../../batching/batcher.ts';
import type { Logger } from '../../log.ts';
import { isOutage } from '../problems/outage.ts';
import { invalid, Problem, type ProblemCode, sendProblem } from '../problems/problems.ts';

/** Answers every error, unknown address and wrong method from the catalogue. */
export function openErrors(log: Logger) {
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
    onFrameworkError: (error: FastifyError, request: FastifyRequest, reply: FastifyReply) =>
      answer(error, request, reply),

    /** Installs the handlers of errors, unknown addresses and wrong methods. */
    handle(app: FastifyInstance): void {
      const known: { pattern: RegExp; method: string }[] = [];
      app.addHook('onRoute', ({ url, method }: RouteOptions) => {
        const pattern = new RegExp(`^${url.replace(/:[a-z]+/g, '[^/]+').replace('*', '.*')}$`);
        for (const name of [method].flat()) known.push({ pattern, method: name });
      });

      app.setNotFoundHandler((request, reply) => {
        const [path = ''] = request.url.split('?', 1);
        const found = known.filter(({ pattern }) => pattern.test(path));
        if (found.length === 0) return sendProblem(reply, 'not_found');
        reply.header('allow', [...new Set(found.map(({ method }) => method))].sort().join(', '));
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
  // Whatever else Fastify or Node blames on the request, without repeating their message.
  return error.statusCode === 400 ? invalid('request', 'is not valid') : undefined;
}

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
