import { randomBytes } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import { pino } from 'pino';
import { readPayments } from '../../src/config/payments.ts';
import { settingsReader } from '../../src/config/settings.ts';
import { systemClock } from '../../src/domain/clock.ts';
import type { Drop } from '../../src/domain/drop.ts';
import type { MerchantId } from '../../src/domain/ids.ts';
import { freePort } from '../../src/embedded/free-port.ts';
import { openHealth } from '../../src/engine/health.ts';
import { openProviders } from '../../src/engine/providers.ts';
import type { Timings } from '../../src/engine/service-options.ts';
import { openServices, type Services } from '../../src/engine/services.ts';
import { buildApp } from '../../src/http/app.ts';
import { openSigner, type TokenRules } from '../../src/http/auth/buyers.ts';
import type { AppDeps, AppSettings } from '../../src/http/deps.ts';
import { openExclusive } from '../../src/http/limits/exclusive.ts';
import { openSharedUsage } from '../../src/http/limits/shared-usage.ts';
import { listen, type Server } from '../../src/http/server/server.ts';
import { openCatalog } from '../../src/inventory/catalog.ts';
import { type IntakeLimits, intakeLimits, openIntake } from '../../src/inventory/intake.ts';
import { type Lanes, openLanes } from '../../src/inventory/lanes.ts';
import { connectHot } from '../../src/inventory/redis-connections.ts';
import type { Ledger } from '../../src/ledger/ledger.ts';
import { openMetrics } from '../../src/metrics.ts';
import type { PaymentProvider } from '../../src/payments/provider.ts';
import { openWallet } from '../../src/payments/wallet/wallet.ts';
import type { OnStep } from '../../src/settlement/steps.ts';
import { aDrop } from './drops.ts';
import { untilReady } from './redis.ts';
import { openTestLedger } from './test-ledger.ts';

/** A busy test machine is no crowd: only a test of overload sheds by time. */
const { waitMsMax: _, ...patientLimits } = intakeLimits;

export const testTokens: TokenRules = {
  kind: 'secret',
  algorithm: 'HS256',
  secret: 'a secret of the tests, long enough to be one',
  issuer: 'https://id.test',
  audience: 'flashdrop',
};

export type TestEngine = {
  app: FastifyInstance;
  ledger: Ledger;
  services: Services;
  deps: AppDeps;
  namespace: string;
  /** Listens on loopback, on any free port unless one is named; gives the address. */
  serve(port?: number): Promise<string>;
  /** What the log said, line by line. */
  logged: string[];
  /** The header that makes a request this buyer's. */
  buyer(name: string): { authorization: string };
  /** A merchant with a key, and the header that makes a request theirs. */
  merchant(name?: string): Promise<{ id: MerchantId; apiKey: string; authorization: string }>;
  /** A drop created in the ledger and published to the lanes. */
  publish(merchantId: MerchantId, overrides?: Partial<Drop>): Promise<Drop>;
  /** Money in a buyer's wallet. */
  fund(buyer: string, amount?: number): Promise<void>;
  stop(): Promise<void>;
};

export type TestEngineOptions = {
  redisUrl: string;
  settling?: boolean;
  settings?: Partial<AppSettings>;
  tokens?: TokenRules;
  /** Shared with another engine, which closes it. */
  ledger?: Ledger;
  /** That of an engine before or beside this one, to share what it has in Redis. */
  namespace?: string;
  /** Stands before the wallet, or in its place. */
  provider?(wallet: PaymentProvider): PaymentProvider;
  /** Settings of other providers, read as the program reads them; they reach the engine once it serves. */
  payments?: Record<string, string>;
  /** Stands before the lanes. */
  lanes?(lanes: Lanes): Lanes;
  limits?: IntakeLimits;
  timings?: Timings;
  onStep?: OnStep;
  redisTimeoutMs?: number;
  operatorKey?: string;
};

/**
 * A whole engine on real parts: Redis at `redisUrl` under a namespace of its own, and an embedded
 * ledger. `settling: false` leaves orders reserved, for tests that look at just that.
 */
export async function startTestEngine(options: TestEngineOptions): Promise<TestEngine> {
  const { redisUrl, settling = true, tokens = testTokens, redisTimeoutMs = 2_000 } = options;
  const namespace = options.namespace ?? `t${randomBytes(6).toString('hex')}`;
  const logged: string[] = [];
  const log = pino({ level: 'debug' }, { write: (line: string) => void logged.push(line) });
  const redis = connectHot(redisUrl, { timeoutMs: redisTimeoutMs });
  redis.on('error', () => {});
  await untilReady(redis);
  const ledger = options.ledger ?? (await openTestLedger());
  const metrics = openMetrics();
  const opened = openLanes(redis, namespace);
  const lanes = options.lanes?.(opened) ?? opened;
  const wallet = openWallet({ database: ledger.database, accounts: ledger.accounts });
  const publicPort = options.payments ? await freePort() : 0;
  const others = options.payments
    ? await openProviders({
        config: { payments: paymentsOf(options.payments, publicPort), simulators: false },
        ledger,
        log,
      })
    : [];
  const services = openServices({
    redisUrl,
    redis,
    namespace,
    lanes,
    ledger,
    log,
    metrics,
    providers: new Map([...others, [wallet.name, options.provider?.(wallet) ?? wallet]]),
    ...(options.timings ? { timings: options.timings } : {}),
    ...(options.onStep ? { onStep: options.onStep } : {}),
  });
  const catalog = openCatalog({ lanes, published: ledger.drops.published });
  const deps: AppDeps = {
    log,
    metrics,
    catalog,
    lanes,
    ledger,
    tokens,
    services,
    operatorKey: options.operatorKey,
    intake: openIntake({
      lanes,
      catalog,
      limits: options.limits ?? patientLimits,
      takes: services.takes,
      awaitsBuyer: services.awaitsBuyer,
    }),
    clock: systemClock,
    usage: openSharedUsage(redis, namespace),
    exclusive: openExclusive(redis, namespace),
    health: openHealth({ redis, namespace, ledger }),
    settings: { demo: false, turnMsMax: Number.POSITIVE_INFINITY, ...options.settings },
  };
  catalog.start();
  if (settling) await services.start();
  const app = await buildApp(deps);
  const sign = openSigner(testTokens);
  let merchants = 0;
  let server: Server | undefined;

  return {
    app,
    ledger,
    services,
    deps,
    namespace,
    logged,
    async serve(port = publicPort) {
      server = await listen(app, { host: '127.0.0.1', port });
      return server.address;
    },
    buyer: (name) => ({ authorization: `Bearer ${sign(name)}` }),
    async merchant(name = `store ${++merchants}`) {
      const { merchant, apiKey } = await ledger.merchants.create({ name });
      return { id: merchant.id, apiKey, authorization: `Bearer ${apiKey}` };
    },
    async publish(merchantId, overrides = {}) {
      const draft = aDrop({ merchantId, version: 0, decision: 'draft', ...overrides });
      await ledger.drops.create(draft);
      const acted = await services.publishing.act({
        merchantId,
        drop: draft.id,
        action: 'publish',
      });
      if (acted.kind !== 'done') throw new Error(`not published: ${acted.kind}`);
      return acted.drop;
    },
    async fund(buyer, amount = 10_000_000) {
      const reference = `test:${randomBytes(8).toString('hex')}`;
      await ledger.accounts.topUp({ buyer, currency: 'CNY', amount, reference });
    },
    async stop() {
      await (server ? server.stop() : app.close());
      await catalog.stop();
      await services.stop();
      if (!options.ledger) await ledger.close();
      redis.disconnect();
    },
  };
}

function paymentsOf(given: Record<string, string>, port: number) {
  const publicUrl = `http://127.0.0.1:${port}`;
  const settings = settingsReader({ ...given, FLASHDROP_PUBLIC_URL: publicUrl });
  const payments = readPayments(settings);
  if (settings.problems.length > 0) throw new Error(settings.problems.join('; '));
  return payments;
}
