import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { AppDeps } from '../deps.ts';
import { Problem } from '../problems/problems.ts';
import { schemaOf } from '../schemas/contract.ts';

/** Far more than any provider sends. */
const bodyBytesMax = 65_536;

/** Where payment providers send what they have to tell. Signatures are over the bytes as they came. */
export async function notificationRoute(app: FastifyInstance, deps: AppDeps): Promise<void> {
  const { notifications } = deps.services;

  // A scope of its own: these bodies are read by nobody before they are verified.
  await app.register(async (scope) => {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => {
      done(null, body);
    });

    scope.addHook<{ Params: { provider: string } }>('onError', async (request, _reply, error) => {
      const { code } = error as { code?: string };
      if (code === 'FST_ERR_CTP_BODY_TOO_LARGE') notifications.tooLarge(request.params.provider);
    });

    scope.post<{ Params: { provider: string } }>(
      '/v1/payments/:provider/notifications',
      { schema, bodyLimit: bodyBytesMax },
      async (request, reply) => {
        const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
        const answer = await notifications.take(request.params.provider, {
          headers: headersOf(request),
          body,
        });
        if (!answer) throw new Problem('not_found');
        reply.code(answer.status);
        if (answer.contentType) reply.header('content-type', answer.contentType);
        // As bytes, so that nobody makes anything else of a text such as `success`.
        return reply.send(Buffer.from(answer.body));
      },
    );
  });
}

/** A header that came twice is none: a signature must not be picked from two. */
function headersOf(request: FastifyRequest): Record<string, string | undefined> {
  return Object.fromEntries(
    Object.entries(request.raw.headersDistinct).map(([name, values]) => {
      return [name, values?.length === 1 ? values[0] : undefined];
    }),
  );
}

const schema = schemaOf({
  tag: 'Providers',
  summary: 'A notification of a payment provider',
  description:
    'Signed by the provider and answered in its own form. It changes nothing by itself: the provider is asked how the payment stands. `provider` is one of those that are configured.',
  bodyTypes: ['application/json', 'application/x-www-form-urlencoded'],
  answers: {
    200: { description: 'Taken, in the form the provider wants', mediaTypes: ['text/plain'] },
  },
  problems: ['body_too_large'],
});
