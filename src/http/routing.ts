import type { FastifyInstance } from 'fastify';
import { openSigner } from './auth/buyers.ts';
import type { Guards } from './auth/guards.ts';
import type { AppDeps } from './deps.ts';
import type { Budgets } from './limits/budgets.ts';
import type { Streams } from './live/streams.ts';
import { openReturnUrls } from './request/return-urls.ts';
import { appointmentListRoutes } from './routes/appointment-list.ts';
import { appointmentRoutes } from './routes/appointments.ts';
import { type BuyOutcome, buyRoute } from './routes/buy.ts';
import { demoRoutes } from './routes/demo.ts';
import { dropEditingRoutes } from './routes/drop-editing.ts';
import { dropRoutes } from './routes/drops.ts';
import { importRoute } from './routes/import.ts';
import { merchantRoutes } from './routes/merchants.ts';
import { notificationRoute } from './routes/notifications.ts';
import { opsRoutes } from './routes/ops.ts';
import { orderRoutes } from './routes/orders.ts';
import { paymentRoute } from './routes/payments.ts';
import { publicRoutes } from './routes/public.ts';
import { reconciliationRoute } from './routes/reconciliations.ts';
import { refundRoute } from './routes/refunds.ts';
import { salesRoutes } from './routes/sales.ts';
import { storeRoute } from './routes/stores.ts';
import { topUpRoutes } from './routes/topups.ts';
import { walletRoutes } from './routes/wallet.ts';
import { openCards } from './views/card.ts';

type Counts<Name extends string> = { add(name: Name, by?: number): void };

/** What the routes share beside the services. */
type Shared = {
  guards: Guards;
  budgets: Budgets;
  streams: Streams;
  outcomes: Counts<BuyOutcome>;
  appointmentCounts: Counts<'made' | 'already' | 'imported'>;
};

/** Adds the routes, each with the services that it uses. */
export async function addRoutes(
  app: FastifyInstance,
  deps: AppDeps,
  shared: Shared,
): Promise<void> {
  const { health, metrics, operatorKey, settings, services } = deps;
  const { requireOperator } = shared.guards;

  opsRoutes(app, { health, metrics, requireOperator });
  if (operatorKey !== undefined) {
    reconciliationRoute(app, { requireOperator, reconcile: services.reconcile });
    merchantRoutes(app, { requireOperator, merchants: deps.ledger.merchants });
  }
  if (settings.buying === false) return;
  await addBuyerRoutes(app, deps, shared);
  await addMerchantRoutes(app, deps, shared);
  await notificationRoute(app, { notifications: services.notifications });
  if (settings.demo) {
    demoRoutes(app, {
      gifts: services.gifts,
      accounts: deps.ledger.accounts,
      sign: openSigner(deps.tokens, deps.clock.now),
      clock: deps.clock,
    });
  }
}

async function addBuyerRoutes(app: FastifyInstance, deps: AppDeps, shared: Shared): Promise<void> {
  const { catalog, lanes, ledger, log, services, settings } = deps;
  const { budgets, streams, outcomes, appointmentCounts } = shared;
  const { requireBuyer } = shared.guards;
  const { orders } = services;

  // In a scope of its own, because it parses bodies differently.
  await app.register(async (scope) => {
    buyRoute(scope, {
      requireBuyer,
      intake: deps.intake,
      metrics: deps.metrics,
      outcomes,
      budget: budgets.buyer,
    });
  });
  const cards = openCards({
    catalog,
    methods: services.methods,
    store: ledger.merchants.get,
  });
  const { allowedOrigins: origins = [], allowedSchemes: schemes = [] } = settings;
  const returnUrls = openReturnUrls({ origins, schemes });
  storeRoute(app, { drops: ledger.drops, merchants: ledger.merchants });
  publicRoutes(app, { catalog, cards, streams, log });
  orderRoutes(app, { requireBuyer, orders, lanes, streams, log });
  paymentRoute(app, {
    requireBuyer,
    orders,
    pay: services.pay,
    returnUrls,
    budget: budgets.payment,
  });
  appointmentRoutes(app, {
    requireBuyer,
    catalog,
    appointments: services.appointments,
    counts: appointmentCounts,
  });
  walletRoutes(app, {
    requireBuyer,
    accounts: ledger.accounts,
    passwords: services.passwords,
    exclusive: deps.exclusive,
    log,
  });
  topUpRoutes(app, {
    requireBuyer,
    topUps: services.topUps,
    returnUrls,
    budget: budgets.payment,
    gifts: settings.demo ? services.gifts : undefined,
  });
}

async function addMerchantRoutes(
  app: FastifyInstance,
  deps: AppDeps,
  shared: Shared,
): Promise<void> {
  const { clock, ledger, log, services } = deps;
  const { drops } = ledger;
  const { requireMerchant } = shared.guards;

  await importRoute(app, {
    requireMerchant,
    drops,
    appointments: services.appointments,
    counts: shared.appointmentCounts,
    clock,
    log,
  });
  appointmentListRoutes(app, {
    requireMerchant,
    drops,
    appointments: ledger.appointments,
    service: services.appointments,
    exclusive: deps.exclusive,
  });
  dropRoutes(app, {
    requireMerchant,
    drops,
    createDraft: services.createDraft,
    publishing: services.publishing,
    report: services.report,
    audit: services.audit,
    exclusive: deps.exclusive,
    takes: services.takes,
    clock,
  });
  dropEditingRoutes(app, {
    requireMerchant,
    drops,
    createDraft: services.createDraft,
    editDrop: services.editDrop,
    takes: services.takes,
    clock,
  });
  salesRoutes(app, {
    requireMerchant,
    drops,
    orders: ledger.orders,
    adjustStock: services.adjustStock,
    merchantActions: ledger.merchantActions,
    exclusive: deps.exclusive,
  });
  refundRoute(app, {
    requireMerchant,
    drops,
    orders: services.orders,
    refunds: services.refunds,
    merchantActions: ledger.merchantActions,
  });
}
