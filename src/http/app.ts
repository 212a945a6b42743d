import type { FastifyInstance } from 'fastify';
import { openAuthReports } from './auth/auth-reports.ts';
import { openBuyers } from './auth/buyers.ts';
import { openGuards } from './auth/guards.ts';
import { openMerchantKeys } from './auth/merchants.ts';
import type { AppDeps } from './deps.ts';
import { networkOf } from './limits/addresses.ts';
import { openBudgets } from './limits/budgets.ts';
import { chargeRoutes } from './limits/charging.ts';
import { openStreams } from './live/streams.ts';
import { buyOutcomes } from './routes/buy.ts';
import { addRoutes } from './routing.ts';
import { documentApi } from './server/docs.ts';
import { openFastify } from './server/fastify.ts';
import { warnOfForwarded } from './server/forwarded.ts';

/** All of HTTP without a port: tests inject requests into it and server.ts listens with it. */
export async function buildApp(deps: AppDeps): Promise<FastifyInstance> {
  const { settings, metrics } = deps;
  const outcomes = metrics.counts({
    name: 'buys_total',
    help: 'Buys by outcome',
    label: 'outcome',
    values: buyOutcomes,
  });
  const appointmentCounts = metrics.counts({
    name: 'appointments_total',
    help: 'Appointments made, found to be made already, or imported',
    label: 'how',
    values: ['made', 'already', 'imported'],
  });
  const app = openFastify({
    settings,
    log: deps.log,
    onShed: () => outcomes.add('overloaded'),
  });
  const { log, clock } = deps;
  warnOfForwarded(app, { log, clock, trustedProxies: settings.trustedProxies });
  const reports = openAuthReports(deps);
  const budgets = openBudgets({ limits: settings.budgets, usage: deps.usage });
  app.addHook('onClose', budgets.stop);
  const buyers = openBuyers(deps.tokens, deps.clock.now, {
    onKeySet: reports.onKeySet,
    checks: budgets.tokenChecks,
  });
  metrics.gauge({
    name: 'key_set_age_seconds',
    help: "Seconds since the identity service's keys were fetched; -1 without keys, 0 under a secret",
    read: buyers.keysAge,
  });
  const guards = openGuards({
    buyers,
    onRefused: reports.onRefused,
    merchants: openMerchantKeys({
      verifyAll: deps.ledger.merchants.verifyAll,
      networkOf,
    }),
    operatorKey: deps.operatorKey,
  });
  const streams = openStreams({ streamsMax: settings.streamsMax ?? 10_000 });
  app.addHook('preClose', async () => streams.close());
  metrics.gauge({
    name: 'streams_open',
    help: 'Live streams open in this process',
    read: streams.size,
  });
  metrics.gauge({
    name: 'intake_waiting',
    help: 'Buys that wait for a flight to Redis',
    read: deps.intake.waiting,
  });

  await documentApi(app);
  // Routes come after the documentation, which listens for them.
  await app.register(async (scope) => {
    chargeRoutes(scope, budgets);
    await addRoutes(scope, deps, { guards, budgets, streams, outcomes, appointmentCounts });
  });
  await app.ready();
  return app;
}
