import { randomBytes } from 'node:crypto';
import { dropState } from '../domain/drop.ts';
import { type DropId, newDropId } from '../domain/ids.ts';
import type { Publishing } from '../drops/publishing.ts';
import type { Lanes } from '../inventory/lanes.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Demo } from './banner.ts';

const title = 'Mi-2, the noon sale';
const sku = 'mi2-16gb';
const currency = 'CNY';
const windowMs = 30 * 24 * 3_600_000;
const purseAmount = 1_000_000;

/**
 * What a first look needs: a merchant, a drop that opens by itself, and a buyer with money. The
 * drop is kept over restarts for as long as it is open; the buyer is a new one each time, so that
 * the first Buy is never refused for what an earlier run bought.
 */
export async function openDemo(parts: {
  ledger: Ledger;
  lanes: Lanes;
  publishing: Publishing;
  merchantKey: string;
  sign(buyer: string): string;
}): Promise<Demo> {
  const { ledger, merchantKey } = parts;
  const merchant = await ledger.merchants.adopt({ name: 'Demo store', apiKey: merchantKey });
  const drop = (await findOpenDrop(parts, merchant.id)) ?? (await publishDrop(parts, merchant.id));
  const buyer = `demo-${randomBytes(4).toString('hex')}`;
  await ledger.accounts.topUp({ buyer, currency, amount: purseAmount, reference: `demo:${buyer}` });
  return { merchantKey, buyer, buyerToken: parts.sign(buyer), drop, sku, method: 'wallet' };
}

type Parts = Parameters<typeof openDemo>[0];

async function findOpenDrop(parts: Parts, merchantId: string): Promise<DropId | undefined> {
  const { rows } = await parts.ledger.drops.listOwned(merchantId, { limit: 50 });
  for (const drop of rows) {
    if (drop.title !== title || dropState(drop, Date.now()) !== 'open') continue;
    const inspected = await parts.lanes.inspect({ drop: drop.id, lane: 0 });
    if (inspected.status === 'done' && (inspected.items[0]?.available ?? 0) > 0) return drop.id;
  }
  return undefined;
}

async function publishDrop(parts: Parts, merchantId: string): Promise<DropId> {
  const now = Date.now();
  const id = newDropId();
  await parts.ledger.drops.create({
    id,
    merchantId,
    title,
    currency,
    startsAt: now,
    endsAt: now + windowMs,
    holdMs: 300_000,
    lateCapture: 'retake',
    lanes: 1,
    version: 0,
    decision: 'draft',
    items: [{ sku, title: 'Mi-2 16 GB', unitAmount: 199_900, allotment: 50_000, perBuyer: 1 }],
  });
  await parts.publishing.act({ merchantId, drop: id, action: 'publish' });
  return id;
}
