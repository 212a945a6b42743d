import { randomBytes } from 'node:crypto';
import { pino } from 'pino';
import type { Drop } from '../../src/domain/drop.ts';
import { type LaneRef, type OrderId, orderId, orderRef, placeOf } from '../../src/domain/ids.ts';
import type { Order } from '../../src/domain/order.ts';
import type { PackedDetails } from '../../src/domain/order-details.ts';
import type { Timings } from '../../src/engine/service-options.ts';
import { openServices } from '../../src/engine/services.ts';
import { type LaneKey, laneKey } from '../../src/inventory/keys.ts';
import { openLanes } from '../../src/inventory/lanes.ts';
import { connectHot } from '../../src/inventory/redis-connections.ts';
import type { Ledger } from '../../src/ledger/ledger.ts';
import type { Metrics } from '../../src/metrics.ts';
import type { PaymentProvider } from '../../src/payments/provider.ts';
import { openWallet } from '../../src/payments/wallet/wallet.ts';
import type { OnStep } from '../../src/settlement/steps.ts';
import { aDrop } from '../support/drops.ts';
import { eventually } from '../support/eventually.ts';
import { untilReady } from '../support/redis.ts';
import { openTestLedger } from '../support/test-ledger.ts';

export type Stage = Awaited<ReturnType<typeof openStage>>;

export const hurry: Required<Timings> = {
  claimIdleMs: 100,
  lockDurationMs: 1_000,
  stalledIntervalMs: 500,
  redriveEveryMs: 50,
  redriveStaleMs: 100,
  pollEveryMs: 20,
  pollFirstMs: 100,
  differenceGraceMs: 50,
  // Far longer than any pause of a busy machine: tests of the grace itself have their own.
  closingGraceMs: 60_000,
};

/** The wallet without what only a provider can whose book is in the ledger. */
export function elsewhere({ startWithin: _, ...wallet }: PaymentProvider): PaymentProvider {
  return wallet;
}

/** Everything that settlement works on, real and in a namespace of its own, with nothing started. */
export async function openStage(options: {
  redisUrl: string;
  namespace?: string;
  ledger?: Ledger;
}) {
  const { redisUrl } = options;
  const namespace = options.namespace ?? `t${randomBytes(6).toString('hex')}`;
  const logged: { msg: string; level: number }[] = [];
  const log = pino({ level: 'info' }, { write: (line: string) => logged.push(JSON.parse(line)) });
  const redis = connectHot(redisUrl, { timeoutMs: 2_000 });
  redis.on('error', () => {});
  await untilReady(redis);
  const ledger = options.ledger ?? (await openTestLedger());
  const lanes = openLanes(redis, namespace);
  const wallet = openWallet({ database: ledger.database, accounts: ledger.accounts });
  const stops: (() => Promise<void>)[] = [];

  /**
   * A settlement on this stage; several stand for several processes. With `provider`, the wallet is
   * like one whose book is elsewhere, but for what is given.
   */
  function settlement(
    more: {
      onStep?: OnStep;
      provider?: Partial<PaymentProvider>;
      ledger?: Ledger;
      closingGraceMs?: number | undefined;
      metrics?: Metrics;
    } = {},
  ) {
    const opened = openServices({
      redisUrl,
      redis,
      namespace,
      lanes,
      ledger: more.ledger ?? ledger,
      log,
      providers: new Map([
        [wallet.name, more.provider ? { ...elsewhere(wallet), ...more.provider } : wallet],
      ]),
      timings: { ...hurry, closingGraceMs: more.closingGraceMs ?? hurry.closingGraceMs },
      ...(more.onStep ? { onStep: more.onStep } : {}),
      metrics: more.metrics,
    });
    stops.push(opened.stop);
    return opened;
  }
  const desk = settlement();

  async function publish(overrides: Partial<Drop> = {}): Promise<Drop> {
    const { merchant } = await ledger.merchants.create({ name: 'store' });
    const fresh = { version: 0, decision: 'draft' as const };
    const draft = aDrop({ merchantId: merchant.id, ...fresh, ...overrides });
    await ledger.drops.create(draft);
    const request = { merchantId: merchant.id, drop: draft.id, action: 'publish' as const };
    const acted = await desk.publishing.act(request);
    if (acted.kind !== 'done') throw new Error(`not published: ${acted.kind}`);
    return acted.drop;
  }

  /** Reserves one unit for each buyer, funded well unless told otherwise; gives the orders' ids. */
  async function reserve<const Buyers extends readonly string[]>(
    drop: Drop,
    buyers: Buyers,
    {
      fund = 1_000_000,
      key = 'k',
      quantity = 1,
      awaitsBuyer = false,
      details,
    }: {
      fund?: number;
      key?: string;
      quantity?: number;
      awaitsBuyer?: boolean;
      details?: PackedDetails | undefined;
    } = {},
  ): Promise<{ [Each in keyof Buyers]: OrderId }> {
    const { currency } = drop;
    await ledger.accounts.topUpAll(
      fund === 0
        ? []
        : buyers.map((buyer) => {
            return { buyer, currency, amount: fund, reference: `${buyer}:${key}:${drop.id}` };
          }),
    );
    const ids: OrderId[] = [];
    for (const buyer of buyers) {
      const ref = orderRef(drop.id, buyer, key, drop.lanes);
      const request = {
        digest: ref.digest,
        buyer,
        item: 0,
        quantity,
        method: 'wallet',
        awaitsBuyer,
        details,
      };
      const [answer] = await lanes.reserve(ref, [request]);
      if (answer?.status !== 'reserved') throw new Error(`not reserved: ${answer?.status}`);
      ids.push(orderId(ref));
    }
    return ids as { [Each in keyof Buyers]: OrderId };
  }

  async function inLane(id: OrderId): Promise<Order> {
    const place = placeOf(id);
    const [order] = await lanes.find(place, [place.digest]);
    if (!order) throw new Error(`${id} is not in its lane`);
    return order;
  }

  async function figures(ref: LaneRef) {
    const inspected = await lanes.inspect(ref);
    if (inspected.status === 'missing') throw new Error('the lane holds nothing');
    return { ...inspected, ...(inspected.items[0] as (typeof inspected.items)[number]) };
  }

  return {
    redis,
    redisUrl,
    namespace,
    lanes,
    ledger,
    wallet,
    logged,
    desk,
    settlement,
    publish,
    reserve,
    inLane,
    figures,
    key: (ref: LaneRef, name: LaneKey) => laneKey(namespace, ref, name),
    /** Waits until lane and ledger both have the order in this state. */
    async reaches(id: OrderId, state: Order['state']) {
      await eventually(async () => (await inLane(id)).state === state);
      return await eventually(async () => {
        const order = await ledger.orders.get(id);
        return order?.state === state ? order : undefined;
      });
    },
    /** What the wallet took for a buyer and kept, and how often money moved. */
    async money(buyer: string) {
      const ref = { kind: 'buyer' as const, owner: buyer, currency: 'CNY' };
      const { rows } = await ledger.accounts.entries(ref, { limit: 100 });
      const of = (kind: string) => rows.filter((row) => row.kind === kind);
      const kept = [...of('capture'), ...of('refund')].reduce((sum, row) => sum - row.amount, 0);
      return { captures: of('capture').length, refunds: of('refund').length, kept };
    },
    async close() {
      for (const stop of stops) await stop();
      if (!options.ledger) await ledger.close();
      redis.disconnect();
    },
  };
}

/** A gate that a step waits at until the test opens it. */
export function gate() {
  const { promise: reached, resolve: reach } = Promise.withResolvers<void>();
  const { promise: opened, resolve: open } = Promise.withResolvers<void>();
  return {
    reached,
    open,
    async wait() {
      reach();
      await opened;
    },
  };
}
