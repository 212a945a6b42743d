import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { ProviderNotifications } from '../../checkout/notifications.ts';
import { Problem } from '../problems/problems.ts';
import { contract } from '../schemas/contract.ts';
import { addRoute } from '../server/add-route.ts';

/** Far more than any provider sends. */
const bodyBytesMax = 65_536;

export type NotificationRouteOptions = { notifications: ProviderNotifications };

/** Payment providers send notifications here. Signatures cover the bytes exactly as they arrived. */
export async function notificationRoute(
  app: FastifyInstance,
  { notifications }: NotificationRouteOptions,
): Promise<void> {
  // A scope of its own: nothing parses these bodies before their signature is verified.
  await app.register(async (scope) => {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => {
      done(null, body);
    });

    scope.addHook<{ Params: { provider: string } }>('onError', async (request, _reply, error) => {
      if ('code' in error && error.code === 'FST_ERR_CTP_BODY_TOO_LARGE') {
        notifications.tooLarge(request.params.provider);
      }
    });

    addRoute(
      scope,
      'POST /v1/payments/:provider/notifications',
      { contract: notificationContract, bodyLimit: bodyBytesMax },
      async (request, reply) => {
        const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
        const answer = await notifications.take(request.params.provider, {
          headers: headersOf(request),
          body,
        });
        if (!answer) throw new Problem('not_found');
        reply.code(answer.status);
        if (answer.contentType) reply.header('content-type', answer.contentType);
        // As bytes, so that Fastify sends a text such as `success` unchanged.
        return reply.send(Buffer.from(answer.body));
      },
    );
  });
}

/** A header that was sent twice is left out: a signature must not be picked from two. */
function headersOf({ raw }: Pick<FastifyRequest, 'raw'>): Record<string, string | undefined> {
  return Object.fromEntries(
    Object.entries(raw.headersDistinct).map(([name, values]) => {
      return [name, values?.length === 1 ? values[0] : undefined];
    }),
  );
}

const notificationContract = contract({
  tag: 'Providers',
  summary: 'Receive a notification of a payment provider',
  description:
    'Signed by the provider and answered in its own form. A notification changes nothing by itself: the engine asks the provider for the state of the payment. `provider` is one of those that are configured.',
  cost: 0,
  bodyTypes: ['application/json', 'application/x-www-form-urlencoded'],
  answers: {
    200: {
      description: 'Accepted, in the form that the provider expects',
      mediaTypes: ['text/plain'],
    },
  },
  problems: ['body_too_large'],
});
