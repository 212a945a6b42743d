import type { FastifyInstance } from 'fastify';
import type { z } from 'zod';
import { openMisses } from '../../batching/misses.ts';
import { lookUpLimits, openPacedBatcher } from '../../batching/paced-batcher.ts';
import { isMerchantId, type MerchantId } from '../../domain/ids.ts';
import type { Drops } from '../../ledger/drops.ts';
import type { Merchant, Merchants } from '../../ledger/merchants.ts';
import { Problem } from '../problems/problems.ts';
import { contract } from '../schemas/contract.ts';
import { storeBody } from '../schemas/drops.ts';
import { iso } from '../schemas/fields.ts';
import { addRoute } from '../server/add-route.ts';
import { descriptionJson } from '../views/views.ts';

export type StoreRouteOptions = {
  drops: Pick<Drops, 'onSale'>;
  merchants: Pick<Merchants, 'getAll'>;
};

type StoreBody = z.infer<typeof storeBody>;

const dropsMax = 100;
/** An answer is made once in this time, whoever asks. */
const keptMs = 2_000;
const storesMax = 1_000;

/** What a store has on sale, for anybody: from memory for a moment, so that a crowd costs one query. */
export function storeRoute(app: FastifyInstance, { drops, merchants }: StoreRouteOptions): void {
  const kept = new Map<MerchantId, { at: number; merchant: Merchant; body: StoreBody }>();
  const asking = new Map<MerchantId, Promise<StoreBody | undefined>>();
  /** Ids can be made up: what does not exist takes no place of a page. */
  const misses = openMisses<true>({ keptMs: 1_000, namesMax: 10_000 });
  const lookUps = openPacedBatcher<MerchantId, Merchant | undefined>({
    ...lookUpLimits,
    async run(ids) {
      const found = await merchants.getAll(ids);
      return found.map((value) => ({ status: 'fulfilled', value }));
    },
  });

  /** A store that was there before does not wait behind made-up ids. */
  async function make(id: MerchantId, known?: Merchant): Promise<StoreBody | undefined> {
    const merchant = known ?? (await lookUps.add(id));
    if (!merchant) {
      misses.add(id, true);
      return undefined;
    }
    const at = performance.now();
    const body = await bodyFor(merchant);
    kept.delete(id);
    const [oldest] = kept.keys();
    if (oldest && kept.size >= storesMax) kept.delete(oldest);
    kept.set(id, { at, merchant, body });
    return body;
  }

  async function bodyFor({ id, name }: Merchant): Promise<StoreBody> {
    const open = await drops.onSale(id, dropsMax);
    return {
      store: { id, name },
      drops: open.map((drop) => ({
        id: drop.id,
        title: drop.title,
        ...descriptionJson(drop),
        startsAt: iso(drop.startsAt),
        endsAt: iso(drop.endsAt),
        currency: drop.currency,
        items: drop.items.map((item) => {
          const { sku, title, unitAmount } = item;
          return { sku, title, ...descriptionJson(item), unitAmount };
        }),
      })),
    };
  }

  async function bodyOf(id: MerchantId): Promise<StoreBody | undefined> {
    const page = kept.get(id);
    if (page && performance.now() - page.at < keptMs) return page.body;
    if (misses.get(id)) return undefined;
    const asked = asking.get(id) ?? make(id, page?.merchant).finally(() => asking.delete(id));
    asking.set(id, asked);
    return await asked;
  }

  addRoute(
    app,
    'GET /v1/stores/:merchant/drops',
    { contract: storeContract },
    async (request, reply) => {
      const { merchant } = request.params;
      const body = isMerchantId(merchant) ? await bodyOf(merchant) : undefined;
      if (!body) throw new Problem('unknown_store');
      reply.header('cache-control', 'public, max-age=2');
      return body;
    },
  );
}

const storeContract = contract({
  tag: 'Public',
  summary: 'List what a store has on sale',
  description: `Open drops, those that end first come first, at most ${dropsMax}. GET /v1/drops/:drop tells what is available.`,
  answers: {
    200: {
      description: 'The open drops of the store',
      schema: storeBody,
      headers: { 'Cache-Control': 'May be kept for two seconds' },
    },
  },
  problems: ['unknown_store', 'overloaded'],
});
