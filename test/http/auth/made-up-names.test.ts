import { pino } from 'pino';
import { describe, expect, test } from 'vitest';
import { QueueFull } from '../../../src/batching/batcher.ts';
import { lookUpLimits } from '../../../src/batching/paced-batcher.ts';
import { type DropId, newDropId, newMerchantId } from '../../../src/domain/ids.ts';
import { openTermsLookup } from '../../../src/drops/terms-lookup.ts';
import { openMerchantKeys } from '../../../src/http/auth/merchants.ts';
import { networkOf } from '../../../src/http/limits/addresses.ts';
import { storeRoute } from '../../../src/http/routes/stores.ts';
import { openFastify } from '../../../src/http/server/fastify.ts';
import { openCatalog } from '../../../src/inventory/catalog.ts';
import type { Lanes } from '../../../src/inventory/lanes.ts';
import { newApiKey } from '../../../src/ledger/merchants.ts';
import { eventually } from '../../support/eventually.ts';

// Names that a stranger makes up: whatever their number, the stores get few questions about them.

const { batchMax, queueMax } = lookUpLimits;
/** More than wait at a time. */
const crowd = queueMax + 500;
const batchesMax = Math.ceil(queueMax / batchMax) + 1;

/** How many look-ups were answered, and how many were refused because too many wait. */
async function outcomes(asked: Promise<unknown>[]): Promise<{ answered: number; full: number }> {
  const results = await Promise.allSettled(asked);
  const full = results.filter(
    (one) => one.status === 'rejected' && one.reason instanceof QueueFull,
  );
  const answered = results.filter(({ status }) => status === 'fulfilled');
  expect(full.length + answered.length).toBe(results.length);
  return { answered: answered.length, full: full.length };
}

const emptyLanes = { readDrop: async () => undefined } as unknown as Lanes;

describe('Made-up API keys', () => {
  test('However many API keys are made up at once, the ledger is asked in few statements, and never twice about one', async () => {
    let statements = 0;
    const keys = openMerchantKeys({
      async verifyAll(apiKeys) {
        statements += 1;
        return apiKeys.map(() => undefined);
      },
    });
    const made = Array.from({ length: crowd }, () => `Bearer ${newApiKey()}`);
    const { answered, full } = await outcomes(made.map((key) => keys.identify(key)));
    expect([answered, full]).toEqual([queueMax, crowd - queueMax]);
    expect(statements).toBeLessThanOrEqual(batchesMax);
    const before = statements;
    for (const key of made.slice(0, 50)) {
      expect(await keys.identify(key)).toMatchObject({ reason: 'invalid' });
    }
    for (const text of ['fdk_x_y', 'fdk_aaaaaaaaaaaa_short', `${newApiKey()}x`]) {
      expect(await keys.identify(`Bearer ${text}`)).toMatchObject({
        reason: 'invalid',
      });
    }
    expect(statements).toBe(before);
  });

  test('While made-up API keys fill the queue, the first request of a merchant is answered, from another network and from the same one', async () => {
    const apiKeys = [newApiKey(), newApiKey()];
    const merchant = newMerchantId();
    const keys = openMerchantKeys({
      networkOf,
      async verifyAll(asked) {
        return asked.map((one) => (apiKeys.includes(one) ? merchant : undefined));
      },
    });
    const flooded = '2001:db8:1:2::7';
    const flood = outcomes(
      Array.from({ length: crowd }, () => keys.identify(`Bearer ${newApiKey()}`, { ip: flooded })),
    );
    const found = [
      keys.identify(`Bearer ${apiKeys[0]}`, { ip: '203.0.113.7' }),
      // The next key from its network may take its place, so a client may have to try again.
      eventually(async () => {
        const from = { ip: '2001:db8:1:2:ffff::8' };
        const tried = await keys.identify(`Bearer ${apiKeys[1]}`, from).catch(() => undefined);
        return tried === merchant && tried;
      }),
    ];
    expect(await Promise.all(found)).toEqual([merchant, merchant]);
    // Two of the flood at least had to make room.
    expect((await flood).full).toBeGreaterThan(crowd - queueMax);
  });

  test('A merchant whose key was valid before does not wait behind made-up keys', async () => {
    let now = 0;
    const apiKey = newApiKey();
    const merchant = newMerchantId();
    const held = Promise.withResolvers<void>();
    let holds = false;
    const keys = openMerchantKeys({
      now: () => now,
      async verifyAll(apiKeys) {
        if (holds && !apiKeys.includes(apiKey)) await held.promise;
        return apiKeys.map((one) => (one === apiKey ? merchant : undefined));
      },
    });
    expect(await keys.identify(`Bearer ${apiKey}`)).toBe(merchant);
    holds = true;
    const strangers = Array.from({ length: 100 }, () => keys.identify(`Bearer ${newApiKey()}`));
    now = 60_000;
    expect(await keys.identify(`Bearer ${apiKey}`)).toBe(merchant);
    held.resolve();
    await Promise.all(strangers);
  });
});

describe('Made-up drops', () => {
  test('However many drops are made up at once, the ledger is asked in few statements', async () => {
    let statements = 0;
    const catalog = openCatalog({
      lanes: emptyLanes,
      async published() {
        statements += 1;
        return new Set<DropId>();
      },
    });
    const made = Array.from({ length: crowd }, newDropId);
    const { answered, full } = await outcomes(made.map(catalog.get));
    expect([answered, full]).toEqual([queueMax, crowd - queueMax]);
    expect(statements).toBeLessThanOrEqual(batchesMax);
  });

  test('Orders of made-up drops are refused without a look for the order, and cost few questions about the drops', async () => {
    let statements = 0;
    let terms = 0;
    const lookUp = openTermsLookup({
      lanes: emptyLanes,
      termsOf: Object.assign(
        async () => {
          terms += 1;
          return undefined;
        },
        { cached: () => undefined },
      ),
      drops: {
        async existing() {
          statements += 1;
          return new Set<DropId>();
        },
      },
    });
    const made = Array.from({ length: crowd }, newDropId);
    const { answered, full } = await outcomes(made.map(lookUp));
    expect([answered, full]).toEqual([queueMax, crowd - queueMax]);
    expect(statements).toBeLessThanOrEqual(batchesMax);
    expect(terms).toBe(0);
  });
});

describe('Made-up stores', () => {
  test('However many stores are made up at once, the ledger is asked in few statements, and the page of a real one stays in memory', async () => {
    const real = newMerchantId();
    let statements = 0;
    let pages = 0;
    const app = openFastify({ settings: {}, log: pino({ level: 'silent' }), onShed() {} });
    storeRoute(app, {
      merchants: {
        async getAll(ids) {
          statements += 1;
          return ids.map((id) => (id === real ? { id: real, name: 'Corner shop' } : undefined));
        },
      },
      drops: {
        async onSale() {
          pages += 1;
          return [];
        },
      },
    });
    const statusOf = async (id: string) => (await app.inject(`/v1/stores/${id}/drops`)).statusCode;
    const asked = await Promise.all(Array.from({ length: 20 }, () => statusOf(real)));
    expect(new Set(asked)).toEqual(new Set([200]));
    expect([statements, pages]).toEqual([1, 1]);
    const made = Array.from({ length: crowd }, newMerchantId);
    const answers = new Set(await Promise.all(made.map(statusOf)));
    expect(answers.has(404)).toBe(true);
    expect([...answers].every((status) => status === 404 || status === 503)).toBe(true);
    expect(statements).toBeLessThan(crowd / 4);
    const before = statements;
    expect(await statusOf(real)).toBe(200);
    expect(statements).toBe(before);
    await app.close();
  });
});
