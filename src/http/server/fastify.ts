import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import fastify, { type FastifyInstance, type FastifyServerFactory } from 'fastify';
import type { z } from 'zod';
import type { Logger } from '../../log.ts';
import { invalid } from '../problems/problems.ts';
import { parseJson } from '../request/json.ts';
import { textParser } from '../request/text-parser.ts';
import { validatorCompiler } from '../request/validation.ts';
import { answerHeaders } from './answer-headers.ts';
import { onClientError } from './client-errors.ts';
import { openErrors } from './errors.ts';
import { openShedding, type Shedding } from './load-shedding.ts';
import { openRouteTable, routerOptions } from './route-table.ts';
import { sendRawProblem } from './send-raw.ts';

export type ServerSettings = {
  /** Addresses and ranges of the proxies whose X-Forwarded-* headers are believed; none unless named. */
  trustedProxies?: string[] | undefined;
  bodyBytesMax?: number;
  /** A request that has not arrived whole after this time is refused. */
  requestTimeoutMs?: number;
  headersTimeoutMs?: number;
  /** How long a connection without a request is kept open. */
  keepAliveMs?: number | undefined;
  /** When one turn of the event loop has taken requests for longer, its remaining Buys are refused. */
  turnMsMax?: number;
  /** Connections open at once in this process; those beyond are closed. */
  connectionsMax?: number;
};

const headerBytesMax = 16_384;
const hostMissing = invalid('Host', 'is required');
/** A Buy has then waited for two such turns at most, which leaves time for its call and answer. */
const turnMsMaxDefault = 75;
const connectionsMaxDefault = 20_000;
/** A connection without a byte for this long is closed while a request is under way. */
const idleMsMax = 30_000;
/** Longer than the 60 s for which nginx and others keep an idle connection by default. */
const keepAliveMsDefault = 75_000;

/**
 * A Fastify instance as all routes need it, without routes: limits, time-outs, strict JSON, zod
 * validation, and errors as problem documents. Every time-out is set, so that a client that sends
 * half a request is closed while others are served. `onShed` is called for each Buy that is refused
 * because this process is behind.
 */
export function openFastify(options: {
  settings: ServerSettings;
  log: Logger;
  onShed(): void;
}): FastifyInstance {
  const { settings, log, onShed } = options;
  const { trustedProxies = [] } = settings;
  const routes = openRouteTable();
  const errors = openErrors(log, routes);
  const shedding = openShedding({
    turnMsMax: settings.turnMsMax ?? turnMsMaxDefault,
    routes,
    onShed,
  });
  const app: FastifyInstance = fastify({
    serverFactory: serverFactory(settings, shedding),
    routerOptions,
    // We log failures ourselves; Fastify's logger costs every request a child logger and listeners.
    logger: false,
    genReqId: requestIds(),
    trustProxy: trustedProxies.length > 0 ? trustedProxies : false,
    bodyLimit: settings.bodyBytesMax ?? 16_384,
    forceCloseConnections: 'idle',
    // While draining, requests on open connections are still answered; /readyz sends no new ones.
    return503OnClosing: false,
    clientErrorHandler: onClientError,
    frameworkErrors: errors.onFrameworkError,
  });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser<string>(
    'application/json',
    { parseAs: 'string' },
    textParser(parseJson),
  );
  app.setValidatorCompiler<z.ZodType>(validatorCompiler);
  app.addHook('onSend', (_request, reply, _payload, done) => {
    for (const [name, value] of Object.entries(answerHeaders)) {
      if (!reply.hasHeader(name)) reply.header(name, value);
    }
    done();
  });
  app.decorateRequest('buyer', '');
  // Empty until requireMerchant has set it.
  app.decorateRequest<string>('merchantId', '');
  app.decorateRequest('actor', '');
  routes.follow(app);
  errors.handle(app);
  return app;
}

function serverFactory(settings: ServerSettings, shedding: Shedding): FastifyServerFactory {
  const { keepAliveMs = keepAliveMsDefault } = settings;
  return (handler) => {
    const serve = (request: IncomingMessage, response: ServerResponse): void => {
      const { socket, httpVersion, headers } = request;
      if (socket.timeout !== idleMsMax) socket.setTimeout(idleMsMax);
      if (headers.host === undefined && httpVersion === '1.1')
        sendRawProblem(response, hostMissing);
      else if (!shedding.refuse(request, response)) handler(request, response);
    };
    const server = createServer(
      {
        requestTimeout: settings.requestTimeoutMs ?? 8_000,
        headersTimeout: settings.headersTimeoutMs ?? 6_000,
        keepAliveTimeout: keepAliveMs,
        connectionsCheckingInterval: 1_000,
        maxHeaderSize: headerBytesMax,
        // Refused by us: Node's own answer is no problem document.
        requireHostHeader: false,
      },
      serve,
    );
    // An expectation that we do not know is no reason to refuse a request.
    server.on('checkExpectation', serve);
    server.setTimeout(idleMsMax);
    // A balancer may open connections before it has requests for them.
    server.on('connection', (socket) => socket.setTimeout(keepAliveMs));
    server.maxConnections = settings.connectionsMax ?? connectionsMaxDefault;
    return server;
  };
}

/** Ids to search the log by: unique across restarts and processes, and cheap to make. */
function requestIds(): () => string {
  const prefix = randomBytes(5).toString('hex');
  let count = 0;
  return () => {
    count += 1;
    return `req_${prefix}_${count}`;
  };
}
