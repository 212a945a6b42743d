import { expect } from 'vitest';
import type { ProviderCharge } from '../../loadtest/auditor/sources.ts';
import type { Faults, ProviderName } from '../../simulators/protocol.ts';
import type { OrderId, PaymentReference } from '../../src/domain/ids.ts';
import type { Timings } from '../../src/engine/service-options.ts';
import { paymentReference } from '../../src/ledger/payments/row.ts';
import type { ClientAction } from '../../src/payments/provider.ts';
import { startTestEngine, type TestEngine } from './engine.ts';
import { eventually } from './eventually.ts';
import { anOrderId } from './ids.ts';
import { sharedRedisUrl } from './redis.ts';
import { type Answer, type Buyer, openSale, type Sale, type SaleOptions } from './sale.ts';
import { type SimulatedProvider, startSimulator } from './simulators.ts';

export const providerNames = ['stripe', 'alipay', 'wechat_pay'] as const;

/** An engine that is paid through simulated providers, each a process that reaches it over HTTP. */
export type Shop = {
  engine: TestEngine;
  address: string;
  simulators: Record<ProviderName, SimulatedProvider>;
  sale(options: SaleOptions): Promise<ShopSale>;
  /** Waits until the job of the order is done: from then on only notifications and polling move it. */
  rests(id: OrderId): Promise<void>;
  /** No faults any more. */
  calm(): Promise<void>;
  /** The count of a provider's notifications that came to this. */
  notified(provider: ProviderName, outcome: string): Promise<number>;
  stop(): Promise<void>;
};

/** A sale whose buyers pay through providers, and whose audit reads the providers' own books. */
export type ShopSale = Sale & {
  /** A buyer with a reserved order that is to be paid in this way. */
  buys(method: string, buyer?: Buyer): Promise<{ buyer: Buyer; id: OrderId }>;
  /** Begins the payment, or asks for it again; without a wish, how it stands. */
  begins(buyer: Buyer, id: string, wish?: Record<string, unknown>): Promise<Answer>;
  /** Buys, begins the payment and opens its page; `reference` is what the provider knows it by. */
  opens(method: ProviderName): Promise<Opened>;
  /** Waits until the order is in this state. */
  reaches(order: Pick<Opened, 'buyer' | 'id'>, state: string): Promise<Record<string, unknown>>;
};

export type Opened = { buyer: Buyer; id: OrderId; reference: PaymentReference };

/** The first poll comes late, so that notifications move an order; a test of polling sets its own. */
const timings: Timings = {
  pollEveryMs: 20,
  pollFirstMs: 60_000,
  redriveEveryMs: 100,
  redriveStaleMs: 300,
};

const none: Partial<Faults> = {
  lose: 0,
  delay: 0,
  repeat: 0,
  reorder: 0,
  forge: 0,
  fail: 0,
  refuse: 0,
  hang: 0,
  slow: 0,
  captureAfterClose: 0,
};

export async function openShop(options: { timings?: Timings } = {}): Promise<Shop> {
  const started = await Promise.all(
    providerNames.map(async (name) => [name, await startSimulator(name)] as const),
  );
  const simulators = Object.fromEntries(started) as Shop['simulators'];
  const all = Object.values(simulators);
  const engine = await startTestEngine({
    redisUrl: sharedRedisUrl(),
    settings: {
      demo: true,
      allowedOrigins: ['https://shop.example'],
      allowedSchemes: ['shopapp'],
    },
    timings: { ...timings, ...options.timings },
    payments: Object.assign({}, ...all.map(({ settings }) => settings)),
  });
  const address = await engine.serve();
  await simulators.stripe.reaches(address);

  async function charges() {
    return (await Promise.all(all.map(({ book }) => book()))).flatMap((book) => book.charges);
  }

  async function sale(saleOptions: SaleOptions): Promise<ShopSale> {
    const before = new Set((await charges()).map(({ reference }) => reference));
    async function* own(): AsyncGenerator<ProviderCharge> {
      for (const charge of await charges()) if (!before.has(charge.reference)) yield charge;
    }
    const { apiKey } = await engine.merchant();
    const opened = await openSale({ address, merchantKey: apiKey }, saleOptions, own);

    async function buys(method: string, given?: Buyer) {
      const buyer = given ?? (await opened.one());
      // A unit that has just come back is on sale again within a moment.
      const bought = await eventually(async () => {
        const answer = await opened.press(buyer, { method });
        if (answer.code === 'all_held' || answer.code === 'sold_out') throw new Error(answer.body);
        return answer;
      });
      expect(bought.status, bought.body).toBe(202);
      return { buyer, id: anOrderId(bought.json['id']) };
    }

    const begins: ShopSale['begins'] = ({ token }, id, wish) =>
      opened.call('POST', `/v1/orders/${id}/payment`, { token, body: wish });

    return {
      ...opened,
      buys,
      begins,
      async opens(method) {
        const { buyer, id } = await buys(method);
        const begun = await begins(buyer, id, { method });
        expect(begun.status, begun.body).toBe(200);
        await visit(begun.json['action']);
        return { buyer, id, reference: paymentReference(id, 1, method) };
      },
      reaches: ({ buyer, id }, state) =>
        eventually(async () => {
          const order = await opened.order(buyer, id);
          if (order['state'] !== state) throw new Error(`the order is ${JSON.stringify(order)}`);
          return order;
        }),
    };
  }

  return {
    engine,
    address,
    simulators,
    sale,
    async rests(id) {
      await eventually(async () => {
        const { waiting, active } = await engine.services.background().queue.counts();
        return waiting + active === 0 && (await engine.ledger.orders.get(id)) !== undefined;
      });
    },
    async calm() {
      await Promise.all(all.map(({ faults }) => faults(none)));
    },
    async notified(provider, outcome) {
      const text = await engine.deps.metrics.text();
      const labels = `provider="${provider}",outcome="${outcome}"`;
      const line = text.split('\n').find((row) => row.includes(`notifications_total{${labels}}`));
      return Number(line?.split(' ').at(-1) ?? 0);
    },
    async stop() {
      await engine.stop();
      await Promise.all(all.map(({ stop }) => stop()));
    },
  };
}

/** What the buyer's client does with an answer: it opens the provider's page. */
export async function visit(action: unknown): Promise<void> {
  const wanted = action as ClientAction | undefined;
  if (wanted?.kind !== 'redirect' && wanted?.kind !== 'qr') {
    throw new Error(`nothing to open: ${JSON.stringify(action)}`);
  }
  const page = await fetch(wanted.kind === 'qr' ? wanted.text : wanted.url);
  expect(page.status, await page.text()).toBe(200);
}
