import { randomBytes } from 'node:crypto';
import type { Drop } from '../../src/domain/drop.ts';
import {
  type OrderId,
  orderId,
  orderRef,
  type PaymentReference,
  placeOf,
} from '../../src/domain/ids.ts';
import { openServices } from '../../src/engine/services.ts';
import type { PaymentProvider } from '../../src/payments/provider.ts';
import type { Difference } from '../../src/reconciliation/differences.ts';
import type { ReconciliationReport } from '../../src/reconciliation/report.ts';
import { openAtSimulator } from '../payments/stripe-shop.ts';
import { hurry, openStage } from '../settlement/stage.ts';
import { eventually } from '../support/eventually.ts';
import { sharedRedisUrl } from '../support/redis.ts';
import { type SimulatedProvider, startSimulator } from '../support/simulators.ts';

export type Books = Awaited<ReturnType<typeof openBooks>>;

/** A settlement that never looks and never sweeps by itself: what goes wrong stays so. */
const standstill = { ...hurry, pollEveryMs: 1_000_000_000, redriveEveryMs: 1_000_000_000 };

/** An engine that sells by Stripe's simulator and by wallet, and books that tests may spoil. */
export async function openBooks(more: PaymentProvider[] = []) {
  const redisUrl = sharedRedisUrl();
  const simulator: SimulatedProvider = await startSimulator('stripe');
  const stage = await openStage({ redisUrl });
  const stripe = openAtSimulator(simulator);
  const { ledger, lanes, redis, namespace } = stage;
  const log = { info() {}, warn() {}, error() {} } as never;

  /** Several stand for several processes. */
  function engine(providers: PaymentProvider[] = [stage.wallet, stripe, ...more]) {
    return openServices({
      redisUrl,
      redis,
      namespace,
      lanes,
      ledger,
      log,
      timings: standstill,
      providers: new Map(providers.map((provider) => [provider.name, provider])),
    });
  }
  const desk = engine();
  await desk.start();
  const waiting = () => desk.background().worker.counts().waiting;

  /** An order for Stripe that the worker has seen and left to its buyer: it comes to it no more. */
  async function reserve(drop: Drop): Promise<OrderId> {
    const seen = waiting();
    const buyer = `buyer-${randomBytes(6).toString('hex')}`;
    const ref = orderRef(drop.id, buyer, 'k', drop.lanes);
    const request = {
      digest: ref.digest,
      buyer,
      item: 0,
      quantity: 1,
      method: 'stripe',
      awaitsBuyer: true,
    };
    const [answer] = await lanes.reserve(ref, [request]);
    if (answer?.status !== 'reserved') throw new Error(`not reserved: ${answer?.status}`);
    await eventually(() => waiting() > seen);
    return orderId(ref);
  }

  /** An order whose payment waits for its buyer. */
  async function begin(drop: Drop): Promise<{ id: OrderId; reference: PaymentReference }> {
    const id = await reserve(drop);
    const begun = await desk.pay(id, { method: 'stripe', wish: {} });
    if (begun.kind !== 'begun') throw new Error(`not begun: ${begun.kind}`);
    return { id, reference: begun.payment.reference };
  }

  /** An order that is paid and settled. */
  async function sell(drop: Drop): Promise<{ id: OrderId; reference: PaymentReference }> {
    const begun = await begin(drop);
    await simulator.pay(begun.reference);
    await settle(begun.id);
    await stage.reaches(begun.id, 'paid');
    return begun;
  }

  /** Settles an order now. */
  async function settle(id: OrderId): Promise<void> {
    await desk.settle([id]);
  }

  return {
    stage,
    ledger,
    lanes,
    simulator,
    stripe,
    desk,
    engine,
    reserve,
    begin,
    sell,
    settle,
    publish: stage.publish,
    payment: async (reference: string) => (await ledger.payments.find([reference]))[0],
    sql: (text: string, params: unknown[]) => ledger.database.query(text, params),
    /** Takes an order's record out of its lane. */
    async forget(id: OrderId): Promise<void> {
      const place = placeOf(id);
      await redis.hdel(stage.key(place, 'orders'), place.digest);
    },
    async close() {
      await desk.stop();
      await stage.close();
      await simulator.stop();
    },
  };
}

/** What a report says of an order or a payment: kinds with what was done, sorted. */
export function toldOf(report: ReconciliationReport, ...names: string[]): string[] {
  const isAbout = ({ order, payment }: Difference) => {
    return names.some((name) => order === name || payment.startsWith(name));
  };
  return report.differences
    .filter(isAbout)
    .map(({ kind, done }) => `${kind} ${done}`)
    .sort();
}
