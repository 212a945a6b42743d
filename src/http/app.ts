import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import fastify, { type FastifyInstance, type FastifyServerFactory } from 'fastify';
import { openBuyers } from './auth/buyers.ts';
import { openGuards } from './auth/guards.ts';
import { openMerchantKeys } from './auth/merchants.ts';
import type { AppDeps } from './deps.ts';
import { openStreams } from './live/streams.ts';
import { parseJson } from './request/json.ts';
import { validatorCompiler } from './request/validation.ts';
import { appointmentRoutes } from './routes/appointments.ts';
import { buyRoute } from './routes/buy.ts';
import { demoRoutes } from './routes/demo.ts';
import { dropRoutes } from './routes/drops.ts';
import { importRoute } from './routes/import.ts';
import { notificationRoute } from './routes/notifications.ts';
import { opsRoutes } from './routes/ops.ts';
import { orderRoutes } from './routes/orders.ts';
import { publicRoutes } from './routes/public.ts';
import { reconciliationRoute } from './routes/reconciliations.ts';
import { refundRoute } from './routes/refunds.ts';
import { salesRoutes } from './routes/sales.ts';
import { topUpRoutes } from './routes/topups.ts';
import { walletRoutes } from './routes/wallet.ts';
import { onClientError } from './server/client-errors.ts';
import { documentApi } from './server/docs.ts';
import { openErrors } from './server/errors.ts';
import { openShedding } from './server/load-shedding.ts';

const headerBytesMax = 8_192;
/** A Buy has then waited for at most two such turns, which leaves a flight and its answer their time. */
const turnMsMax = 75;
const connectionsMax = 20_000;
/** A connection without a byte for this long is closed. */
const connectionMs = 30_000;

/**
 * The whole of HTTP, without a port: tests inject into it and server.ts listens with it. Every
 * time-out is set, so that a peer that sends half a request is closed while others are served.
 */
export async function buildApp(deps: AppDeps): Promise<FastifyInstance> {
  const { settings } = deps;
  const errors = openErrors(deps.log);
  const outcomes = deps.metrics.counts({
    name: 'buys_total',
    help: 'Buys by outcome',
    label: 'outcome',
  });
  const appointments = deps.metrics.counts({
    name: 'appointments_total',
    help: 'Appointments made, found to be made already, or imported',
    label: 'how',
  });
  const shedding = openShedding({
    turnMsMax: settings.turnMsMax ?? turnMsMax,
    onShed: () => outcomes.add('overloaded'),
  });
  const serverFactory: FastifyServerFactory = (handler) => {
    const server = createServer(
      {
        requestTimeout: settings.requestTimeoutMs ?? 8_000,
        headersTimeout: settings.headersTimeoutMs ?? 6_000,
        keepAliveTimeout: settings.keepAliveMs ?? 30_000,
        connectionsCheckingInterval: 1_000,
        maxHeaderSize: headerBytesMax,
      },
      (request, response) => {
        if (!shedding.refuse(request, response)) handler(request, response);
      },
    );
    server.setTimeout(connectionMs);
    server.maxConnections = settings.connectionsMax ?? connectionsMax;
    return server;
  };
  const app: FastifyInstance = fastify({
    serverFactory,
    // Ours logs what goes wrong; Fastify's own costs every request a child logger and listeners.
    logger: false,
    genReqId: requestIds(),
    trustProxy: settings.trustProxy ?? false,
    bodyLimit: settings.bodyBytesMax ?? 16_384,
    forceCloseConnections: 'idle',
    // While draining, requests on open connections are still answered; /readyz sends no new ones.
    return503OnClosing: false,
    clientErrorHandler: onClientError,
    frameworkErrors: errors.onFrameworkError,
  });

  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, body, done) => {
    try {
      done(null, parseJson(body as string));
    } catch (problem) {
      done(problem as Error);
    }
  });
  app.setValidatorCompiler(validatorCompiler);
  app.decorateRequest('buyer', '');
  app.decorateRequest('merchantId', '');
  errors.handle(app);

  const guards = openGuards({
    buyers: openBuyers(deps.tokens, deps.clock.now),
    merchants: openMerchantKeys({ verify: deps.ledger.merchants.verify }),
    operatorKey: deps.operatorKey,
  });
  const streams = openStreams({ streamsMax: settings.streamsMax ?? 10_000 });
  app.addHook('preClose', async () => streams.close());
  deps.metrics.gauge({
    name: 'streams_open',
    help: 'Live streams open in this process',
    read: streams.size,
  });
  deps.metrics.gauge({
    name: 'intake_waiting',
    help: 'Buys that wait for a flight to Redis',
    read: deps.intake.waiting,
  });

  await documentApi(app);
  // Routes come after the documentation has begun to listen for them.
  await app.register(async (routes) => {
    opsRoutes(routes, deps);
    if (deps.operatorKey !== undefined) reconciliationRoute(routes, deps, guards);
    if (settings.buying === false) return;
    // In a scope of its own, since it reads bodies in a way of its own.
    await routes.register(async (own) => buyRoute(own, deps, guards, outcomes));
    publicRoutes(routes, deps, streams);
    orderRoutes(routes, deps, guards, streams);
    appointmentRoutes(routes, deps, guards, appointments);
    await importRoute(routes, deps, guards, appointments);
    await notificationRoute(routes, deps);
    walletRoutes(routes, deps, guards);
    topUpRoutes(routes, deps, guards);
    dropRoutes(routes, deps, guards);
    salesRoutes(routes, deps, guards);
    refundRoute(routes, deps, guards);
    if (settings.demo) demoRoutes(routes, deps);
  });
  await app.ready();
  return app;
}

/** Ids that a log can be searched by: unique over restarts and processes, and cheap to make. */
function requestIds(): () => string {
  const prefix = randomBytes(5).toString('hex');
  let count = 0;
  return () => {
    count += 1;
    return `req_${prefix}_${count}`;
  };
}
