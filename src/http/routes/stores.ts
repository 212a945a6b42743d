import type { FastifyInstance } from 'fastify';
import type { z } from 'zod';
import { isMerchantId, type MerchantId } from '../../domain/ids.ts';
import type { Drops } from '../../ledger/drops.ts';
import type { Merchants } from '../../ledger/merchants.ts';
import { Problem } from '../problems/problems.ts';
import { contract } from '../schemas/contract.ts';
import { storeBody } from '../schemas/drops.ts';
import { iso } from '../schemas/fields.ts';
import { addRoute } from '../server/add-route.ts';
import { descriptionJson } from '../views/views.ts';

export type StoreRouteOptions = {
  drops: Pick<Drops, 'onSale'>;
  merchants: Pick<Merchants, 'get'>;
};

type StoreBody = z.infer<typeof storeBody>;

const dropsMax = 100;
/** An answer is made once in this time, whoever asks. */
const keptMs = 2_000;
const storesMax = 1_000;

/** What a store has on sale, for anybody: from memory for a moment, so that a crowd costs one query. */
export function storeRoute(app: FastifyInstance, { drops, merchants }: StoreRouteOptions): void {
  const kept = new Map<MerchantId, { at: number; body: Promise<StoreBody | undefined> }>();

  async function make(id: MerchantId): Promise<StoreBody | undefined> {
    const merchant = await merchants.get(id);
    if (!merchant) return undefined;
    const open = await drops.onSale(id, dropsMax);
    return {
      store: { id, name: merchant.name },
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

  function bodyOf(id: MerchantId): Promise<StoreBody | undefined> {
    const now = performance.now();
    const known = kept.get(id);
    if (known && now - known.at < keptMs) return known.body;
    if (kept.size >= storesMax) kept.clear();
    const body = make(id);
    kept.set(id, { at: now, body });
    // A failure is not kept: the next request asks again.
    body.catch(() => kept.delete(id));
    return body;
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
  problems: ['unknown_store'],
});
