import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Drop } from '../../../src/domain/drop.ts';
import { openDropTerms } from '../../../src/drops/drop-terms.ts';
import { redisTime } from '../../../src/inventory/redis-connections.ts';
import { openChargeInLedger } from '../../../src/settlement/settle/charge-in-ledger.ts';
import { openHoldDeferral } from '../../../src/settlement/settle/hold-deferral.ts';
import { openProviderCalls } from '../../../src/settlement/settle/provider-calls.ts';
import { openRefunds } from '../../../src/settlement/settle/refunds.ts';
import { openSettle } from '../../../src/settlement/settle/settle.ts';
import { anItem } from '../../support/drops.ts';
import { eventually } from '../../support/eventually.ts';
import { sharedRedisUrl } from '../../support/redis.ts';
import { testSeed } from '../../support/seed.ts';
import { elsewhere, gate, openStage, type Stage } from '../stage.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await openStage({ redisUrl: sharedRedisUrl() });
});
afterAll(() => stage.close());

const lane = (drop: Drop) => ({ drop: drop.id, lane: 0 });
const price = anItem().unitAmount;

/** Whether the wallet charges within the ledger, as it can, or like a provider that is elsewhere. */
let within = true;

/** A settlement whose relay, worker and sweepers stand still: `settle` is called by the test. */
function settlerOf(more: Parameters<Stage['settlement']>[0] = {}) {
  const { lanes, ledger, redis } = stage;
  const wallet = within && !more.provider ? stage.wallet : elsewhere(stage.wallet);
  const log = { info() {}, warn() {}, error() {} } as never;
  const providers = new Map([[wallet.name, { ...wallet, ...more.provider }]]);
  const { payments } = ledger;
  const steps = more.onStep ? { onStep: more.onStep } : {};
  return openSettle({
    lanes,
    payments,
    providers,
    log,
    allowances: ledger.allowances,
    chargeInLedger: openChargeInLedger({ database: ledger.database, payments, providers }),
    callProviders: openProviderCalls({ providers, log }),
    refunds: openRefunds({ lanes, payments, providers, log, ...steps }),
    holdDeferral: openHoldDeferral({ lanes, payments, providers, log }),
    termsOf: openDropTerms({ lanes, drops: ledger.drops }),
    redisNow: () => redisTime(redis),
    ...steps,
  });
}

let names = 0;
const aBuyer = () => `buyer-${++names}`;

async function untilFree(drop: Drop): Promise<void> {
  await eventually(async () => {
    await stage.lanes.sweep(lane(drop), 100);
    return (await stage.figures(lane(drop))).held === 0;
  });
}

describe.each([
  ['the wallet, whose book is in the ledger', true],
  ['a provider whose book is elsewhere', false],
])('With %s', (_, inLedger) => {
  beforeAll(() => {
    within = inLedger;
  });

  test('A reserved order is charged once and its unit is sold', async () => {
    const drop = await stage.publish();
    const buyer = aBuyer();
    const ids = await stage.reserve(drop, [buyer]);
    const settle = settlerOf();
    expect(await settle(ids)).toEqual([{ kind: 'paid' }]);
    expect(await settle(ids)).toEqual([{ kind: 'paid' }]);
    expect(await stage.money(buyer)).toEqual({ captures: 1, refunds: 0, kept: price });
    expect(await stage.figures(lane(drop))).toMatchObject({ available: 9, held: 0, sold: 1 });
  });

  test('An order that the wallet cannot pay for is released with the reason, and its unit is on sale again', async () => {
    const drop = await stage.publish();
    const [id] = await stage.reserve(drop, [aBuyer()], { fund: 0 });
    const settle = settlerOf();
    expect(await settle([id])).toEqual([{ kind: 'released' }]);
    expect(await stage.inLane(id)).toMatchObject({
      state: 'released',
      reason: 'insufficient_funds',
    });
    expect(await stage.figures(lane(drop))).toMatchObject({ available: 10, held: 0, sold: 0 });
    expect(await settle([id])).toEqual([{ kind: 'released' }]);
  });

  test('Two workers with the same orders capture each once', async () => {
    const drop = await stage.publish({ items: [anItem({ allotment: 200 })] });
    const buyers = Array.from({ length: 20 }, aBuyer);
    const ids = await stage.reserve(drop, buyers);
    const settlers = [settlerOf(), settlerOf(), settlerOf(), settlerOf()];
    await Promise.all(settlers.map((settle, n) => settle(n % 2 ? ids : ids.toReversed())));
    for (const buyer of buyers) {
      expect(await stage.money(buyer)).toEqual({ captures: 1, refunds: 0, kept: price });
    }
    expect(await stage.figures(lane(drop))).toMatchObject({ held: 0, sold: 20 });
  });

  test('A worker that continues after its lock has ended changes nothing', async () => {
    const drop = await stage.publish();
    const buyer = aBuyer();
    const ids = await stage.reserve(drop, [buyer]);
    const still = gate();
    const late = settlerOf({ onStep: (step) => (step === 'begun' ? still.wait() : undefined) });
    const lateAnswer = late(ids);
    await still.reached;
    expect(await settlerOf()(ids)).toEqual([{ kind: 'paid' }]);
    still.open();
    expect(await lateAnswer).toEqual([{ kind: 'paid' }]);
    expect(await stage.money(buyer)).toEqual({ captures: 1, refunds: 0, kept: price });
  });

  test('An order cancelled while it is charged is refunded once', async () => {
    const drop = await stage.publish();
    const buyer = aBuyer();
    const [id] = await stage.reserve(drop, [buyer]);
    const settle = settlerOf({
      async onStep(step) {
        if (step === 'charged') await stage.desk.orders.cancel(id);
      },
    });
    expect(await settle([id])).toEqual([{ kind: 'released' }]);
    expect(await settlerOf()([id])).toEqual([{ kind: 'released' }]);
    expect(await stage.money(buyer)).toEqual({ captures: 1, refunds: 1, kept: 0 });
    expect(await stage.inLane(id)).toMatchObject({ state: 'released', reason: 'cancelled' });
    expect(await stage.figures(lane(drop))).toMatchObject({ available: 10, held: 0, sold: 0 });
  });

  test('A capture after the hold takes a free unit again', async () => {
    const drop = await stage.publish({ holdMs: 1_500 });
    const buyer = aBuyer();
    const [id] = await stage.reserve(drop, [buyer]);
    const settle = settlerOf({
      onStep: (step) => (step === 'charged' ? untilFree(drop) : undefined),
    });
    expect(await settle([id])).toEqual([{ kind: 'paid' }]);
    expect(await stage.inLane(id)).toMatchObject({ state: 'paid', reason: '' });
    expect(await stage.money(buyer)).toEqual({ captures: 1, refunds: 0, kept: price });
  });

  test('A capture after the hold that finds no free unit is refunded once', async () => {
    const drop = await stage.publish({ holdMs: 1_500, items: [anItem({ allotment: 1 })] });
    const buyer = aBuyer();
    const [id] = await stage.reserve(drop, [buyer]);
    const settle = settlerOf({
      async onStep(step) {
        if (step !== 'charged') return;
        await untilFree(drop);
        await stage.reserve(drop, [aBuyer()]);
      },
    });
    expect(await settle([id])).toEqual([{ kind: 'released' }]);
    expect(await stage.money(buyer)).toEqual({ captures: 1, refunds: 1, kept: 0 });
  });

  test('A drop that takes no late captures refunds them though units are free', async () => {
    const drop = await stage.publish({ holdMs: 1_500, lateCapture: 'refund' });
    const buyer = aBuyer();
    const [id] = await stage.reserve(drop, [buyer]);
    const settle = settlerOf({
      onStep: (step) => (step === 'charged' ? untilFree(drop) : undefined),
    });
    expect(await settle([id])).toEqual([{ kind: 'released' }]);
    expect(await stage.money(buyer)).toEqual({ captures: 1, refunds: 1, kept: 0 });
  });

  test('An order whose hold has ended is not charged', async () => {
    const drop = await stage.publish({ holdMs: 1 });
    const buyer = aBuyer();
    const [id] = await stage.reserve(drop, [buyer]);
    await eventually(
      async () => (await redisTime(stage.redis)) > (await stage.inLane(id)).expiresAt,
    );
    expect(await settlerOf()([id])).toEqual([{ kind: 'lapsed' }]);
    expect(await stage.money(buyer)).toMatchObject({ captures: 0 });
  });

  test('A charge without a reply is looked up, not charged again', async () => {
    const drop = await stage.publish();
    const buyer = aBuyer();
    const [id] = await stage.reserve(drop, [buyer]);
    const lossy = settlerOf({
      provider: {
        async start(charges) {
          await stage.wallet.start(charges);
          throw new Error('the reply was lost');
        },
      },
    });
    expect(await lossy([id])).toMatchObject([{ kind: 'later' }]);
    const starts: unknown[] = [];
    const careful = settlerOf({
      provider: {
        start(charges) {
          starts.push(...charges);
          return stage.wallet.start(charges);
        },
      },
    });
    expect(await careful([id])).toEqual([{ kind: 'paid' }]);
    expect(starts).toEqual([]);
    expect(await stage.money(buyer)).toEqual({ captures: 1, refunds: 0, kept: price });
  });

  test('An order stays open while its provider’s answer is unknown', async () => {
    const drop = await stage.publish();
    const buyer = aBuyer();
    const [id] = await stage.reserve(drop, [buyer]);
    const unsure = settlerOf({
      provider: {
        start: async (charges) => charges.map(({ reference }) => ({ reference, kind: 'unknown' })),
        lookUp: async (asked) =>
          asked.map(({ reference }) => ({ reference, kind: 'unknown' as const })),
      },
    });
    expect(await unsure([id])).toMatchObject([{ kind: 'later' }]);
    expect(await unsure([id])).toMatchObject([{ kind: 'later' }]);
    expect(await stage.inLane(id)).toMatchObject({ state: 'reserved' });
    expect(await settlerOf()([id])).toEqual([{ kind: 'paid' }]);
  });

  test('A decided refund happens even when a unit comes free', async () => {
    const drop = await stage.publish({ holdMs: 1_500, items: [anItem({ allotment: 1 })] });
    const [buyer, rival] = [aBuyer(), aBuyer()];
    const [id] = await stage.reserve(drop, [buyer]);
    const decided = gate();
    const first = settlerOf({
      async onStep(step) {
        if (step === 'asked') await decided.wait();
        if (step !== 'charged') return;
        await untilFree(drop);
        await stage.reserve(drop, [rival]);
      },
    });
    const answer = first([id]);
    await decided.reached;
    await untilFree(drop);
    expect(await settlerOf()([id])).toEqual([{ kind: 'released' }]);
    decided.open();
    expect(await answer).toEqual([{ kind: 'released' }]);
    expect(await stage.money(buyer)).toEqual({ captures: 1, refunds: 1, kept: 0 });
  });

  test('A unit taken again while its payment is refunded is released too', async () => {
    const drop = await stage.publish({ holdMs: 1_500, items: [anItem({ allotment: 1 })] });
    const [buyer, rival] = [aBuyer(), aBuyer()];
    const [id] = await stage.reserve(drop, [buyer]);
    const beforeConfirm = gate();
    const slow = settlerOf({
      onStep: (step) => (step === 'recorded' ? beforeConfirm.wait() : undefined),
    });
    const answer = slow([id]);
    await beforeConfirm.reached;
    await untilFree(drop);
    const [rivalId] = await stage.reserve(drop, [rival]);
    expect(await settlerOf()([id])).toEqual([{ kind: 'released' }]);
    await stage.desk.orders.cancel(rivalId);
    beforeConfirm.open();
    expect(await answer).toEqual([{ kind: 'refunded' }]);
    expect(await stage.money(buyer)).toEqual({ captures: 1, refunds: 1, kept: 0 });
    expect(await stage.figures(lane(drop))).toMatchObject({ available: 1, held: 0, sold: 0 });
  });

  test('However expiry, capture, cancellation and a second worker interleave, money is kept for paid orders only', async () => {
    const random = randomOf(testSeed('expiry against capture'));
    const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T;
    for (let round = 0; round < 25; round += 1) {
      const drop = await stage.publish({
        holdMs: pick([1, 5, 20, 300_000]),
        lateCapture: pick(['retake', 'refund']),
        items: [anItem({ allotment: pick([1, 2]) })],
      });
      const buyer = aBuyer();
      const [id] = await stage.reserve(drop, [buyer]);
      const rivals: string[] = [];
      const disturb = async () => {
        const what = pick(['sweep', 'cancel', 'rival', 'nothing', 'nothing']);
        if (what === 'sweep') await stage.lanes.sweep(lane(drop), 10);
        if (what === 'cancel') await stage.desk.orders.cancel(id);
        const rival = aBuyer();
        if (what === 'rival') rivals.push(...(await stage.reserve(drop, [rival]).catch(() => [])));
      };
      const onStep = disturb;
      const settlers = [settlerOf({ onStep }), settlerOf({ onStep })];
      await Promise.all(settlers.map((settle) => settle([id])));
      const settle = settlerOf();
      await eventually(async () => {
        await stage.lanes.sweep(lane(drop), 10);
        const [settled] = await settle([id]);
        return ['paid', 'released', 'refunded'].includes(settled?.kind ?? '');
      });
      const { state } = await stage.inLane(id);
      const money = await stage.money(buyer);
      expect([state, money.kept, money.captures <= 1 && money.refunds <= 1]).toEqual([
        state,
        state === 'paid' ? price : 0,
        true,
      ]);
      const { available, held, sold, allotment } = await stage.figures(lane(drop));
      expect(available + held + sold).toBe(allotment);
    }
  });
});

function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
