import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { FastifyInstance } from 'fastify';
import { documented, problemSchema } from '../schemas/contract.ts';
import { type KeptAnswer, keptAnswer } from './kept-answer.ts';
import { completed, type OpenApiDocument } from './openapi.ts';

/** Adds the OpenAPI document, generated from the schemas that validate, and the page /docs. */
export async function documentApi(app: FastifyInstance): Promise<void> {
  app.addSchema(problemSchema);
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'flashdrop',
        version: '1',
        license: { name: 'MIT', identifier: 'MIT' },
        description:
          'A flash-sale checkout engine. Refusals and failures are problem documents (RFC 9457) with a stable `code`; [all of them](/docs/errors).',
      },
      servers: [{ url: '/', description: 'The engine that this document is from' }],
      components: {
        securitySchemes: {
          buyer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' },
          operator: {
            type: 'http',
            scheme: 'bearer',
            description: 'The operator key, FLASHDROP_OPERATOR_KEY',
          },
          merchant: { type: 'http', scheme: 'bearer', description: 'An API key, fdk_…' },
        },
      },
    },
    transform: ({ schema, url }) => ({ schema: documented(schema ?? {}), url }),
    refResolver: {
      buildLocalReference: (json, _baseUri, _fragment, index) =>
        `${json['$id'] ?? `schema-${index}`}`,
    },
  });
  const document = openApiDocument(app);
  await app.register(swaggerUi, {
    routePrefix: '/docs',
    staticCSP: docsPolicy,
    uiHooks: {
      // The page's own route would write the document anew for each request.
      onRequest(request, reply, done) {
        if (request.routeOptions.url === '/docs/json') document(request, reply);
        else done();
      },
    },
  });
}

/** The OpenAPI document as it is sent. */
export function openApiDocument(app: FastifyInstance): KeptAnswer {
  return keptAnswer('application/json; charset=utf-8', () => {
    // A copy: the plugin keeps its own.
    const made: OpenApiDocument = JSON.parse(JSON.stringify(app.swagger()));
    return JSON.stringify(completed(made));
  });
}

/** The page loads its own scripts, styles and images, and asks this engine alone. */
const docsPolicy =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
  "font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
