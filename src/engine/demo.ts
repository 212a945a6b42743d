import { randomBytes } from 'node:crypto';
import { dropState } from '../domain/drop.ts';
import { type DropId, type MerchantId, newDropId } from '../domain/ids.ts';
import type { TokenRules } from '../http/auth/buyers.ts';
import type { Demo } from './banner.ts';
import type { Wiring } from './wiring.ts';

const title = 'Mi-2, the noon sale';
const sku = 'mi2-16gb';
const currency = 'CNY';
const windowMs = 30 * 24 * 3_600_000;
const purseAmount = 1_000_000;

/**
 * Creates what a demo needs: a merchant, a drop on sale, and a buyer with money in the wallet. The drop is
 * kept over restarts while it is open. The buyer is new at each start, so that the limit per buyer
 * never refuses the first Buy.
 */
export async function openDemo(
  wiring: Wiring,
  tokens: TokenRules,
  { merchantKey }: { merchantKey: string },
): Promise<Demo> {
  const { ledger } = wiring;
  // Loaded here, since only a demo signs tokens.
  const { openSigner } = await import('../http/auth/buyers.ts');
  const merchant = await ledger.merchants.adopt({ name: 'Demo store', apiKey: merchantKey });
  const drop =
    (await findOpenDrop(wiring, merchant.id)) ?? (await publishDrop(wiring, merchant.id));
  const buyer = `demo-${randomBytes(4).toString('hex')}`;
  await ledger.accounts.topUp({ buyer, currency, amount: purseAmount, reference: `demo:${buyer}` });
  return { merchantKey, buyer, buyerToken: openSigner(tokens)(buyer), drop, sku, method: 'wallet' };
}

async function findOpenDrop(
  { ledger, lanes }: Wiring,
  merchantId: MerchantId,
): Promise<DropId | undefined> {
  const { rows } = await ledger.drops.listOwned(merchantId, { limit: 50 });
  for (const drop of rows) {
    if (drop.title !== title || dropState(drop, Date.now()) !== 'open') continue;
    const inspected = await lanes.inspect({ drop: drop.id, lane: 0 });
    if (inspected.status === 'done' && (inspected.items[0]?.available ?? 0) > 0) return drop.id;
  }
  return undefined;
}

async function publishDrop({ ledger, services }: Wiring, merchantId: MerchantId): Promise<DropId> {
  const now = Date.now();
  const id = newDropId();
  await ledger.drops.create({
    id,
    merchantId,
    title,
    currency,
    startsAt: now,
    endsAt: now + windowMs,
    holdMs: 300_000,
    unpaidHoldMs: 60_000,
    lapsesMax: 3,
    lateCapture: 'retake',
    lanes: 1,
    version: 0,
    decision: 'draft',
    items: [{ sku, title: 'Mi-2 16 GB', unitAmount: 199_900, allotment: 50_000, perBuyer: 1 }],
  });
  await services.publishing.act({ merchantId, drop: id, action: 'publish' });
  return id;
}
