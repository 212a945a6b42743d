import { hash } from 'node:crypto';
import type { z } from 'zod';
import { allowsMethod, type DropState } from '../../domain/drop.ts';
import type { MerchantId } from '../../domain/ids.ts';
import type { Catalog, DropView } from '../../inventory/catalog.ts';
import type { StockFigures } from '../../inventory/stock-figures.ts';
import type { availability, cardBody } from '../schemas/drops.ts';
import { iso } from '../schemas/fields.ts';
import { descriptionJson, windowJson } from './views.ts';

type Availability = z.infer<typeof availability>;
type CardBody = z.infer<typeof cardBody>;

export type Card = {
  /** Equal for equal content in every process: the server's time is not part of it. */
  etag: string;
  text(): string;
};

export type Cards = { of(view: DropView): Promise<Card> };

const storesMax = 1_000;

/**
 * What the public sees of drops. A card is written once per change of a drop and kept while the
 * catalog keeps the drop. Figures are coarse: exact stock would help resellers, and would change the
 * page with every sale.
 */
export function openCards(options: {
  catalog: Catalog;
  methods(currency: string, amounts: readonly number[]): CardBody['paymentMethods'];
  store(merchantId: MerchantId): Promise<{ name: string } | undefined>;
}): Cards {
  const { catalog, methods, store } = options;
  const cards = new WeakMap<DropView, { revision: number; state: DropState; card: Card }>();
  const names = new Map<string, string>();

  /** A store's name, read once; null while the ledger is unavailable. */
  async function nameOf(merchantId: MerchantId): Promise<string | null> {
    const known = names.get(merchantId);
    if (known !== undefined) return known;
    const name = await store(merchantId).then(
      (merchant) => merchant?.name,
      () => undefined,
    );
    if (name === undefined) return null;
    if (names.size >= storesMax) names.clear();
    names.set(merchantId, name);
    return name;
  }

  return {
    async of(view) {
      const state = view.state();
      const written = cards.get(view);
      if (written?.revision === view.revision && written.state === state) return written.card;
      const { revision } = view;
      const name = await nameOf(view.drop.merchantId);
      const prices = view.drop.items.map(({ unitAmount }) => unitAmount);
      const offered = methods(view.drop.currency, prices);
      const paymentMethods = offered.filter(({ method }) => allowsMethod(view.drop, method));
      const card = write({ ...bodyOf(view, state, name), paymentMethods }, catalog.redisNow);
      if (name !== null) cards.set(view, { revision, state, card });
      return card;
    },
  };
}

function write(body: Omit<CardBody, 'serverTime'>, now: () => number): Card {
  const text = JSON.stringify(body);
  return {
    etag: hash('sha256', text, 'base64url').slice(0, 22),
    text: () => `{"serverTime":"${iso(now())}",${text.slice(1)}`,
  };
}

function bodyOf(
  { drop, items, appointments }: DropView,
  state: DropState,
  name: string | null,
): Omit<CardBody, 'serverTime' | 'paymentMethods'> {
  const shown = drop.items.map((item, index) => {
    const { sku, title, unitAmount, perBuyer } = item;
    const told = descriptionJson(item);
    return { sku, title, ...told, unitAmount, perBuyer, availability: coarse(items[index]) };
  });
  const taken = items.reduce((sum, { held, sold }) => sum + held + sold, 0);
  return {
    id: drop.id,
    title: drop.title,
    state,
    startsAt: iso(drop.startsAt),
    endsAt: iso(drop.endsAt),
    currency: drop.currency,
    availability: best(shown.map((item) => item.availability)),
    appointment: drop.appointment
      ? { ...windowJson(drop.appointment), count: roundDown(appointments) }
      : null,
    passwordAbove: drop.passwordAbove ?? null,
    perBuyer: drop.perBuyer ?? null,
    lapsesMax: drop.lapsesMax ?? null,
    popularity: { unitsTaken: roundDown(taken) },
    // There is no source of ratings yet.
    store: { name, creditRating: null },
    ...descriptionJson(drop),
    fields: drop.fields,
    items: shown,
  };
}

function coarse(figures: StockFigures | undefined): Availability {
  const { available, held, allotment } = figures ?? { available: 0, held: 0, allotment: 0 };
  if (available === 0) return held > 0 ? 'all_held' : 'sold_out';
  return available * 10 <= allotment ? 'few' : 'available';
}

const ranks: Availability[] = ['available', 'few', 'all_held', 'sold_out'];

function best(found: Availability[]): Availability {
  return ranks.find((rank) => found.includes(rank)) ?? 'sold_out';
}

/** To two digits: 12,345 becomes 12,000. */
export function roundDown(value: number): number {
  const step = 10 ** Math.max(0, String(value).length - 2);
  return Math.floor(value / step) * step;
}
