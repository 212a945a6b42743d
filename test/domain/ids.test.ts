import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  dropCode,
  homeLane,
  isDropId,
  lanesMax,
  newDropId,
  newMerchantId,
  orderId,
  orderRef,
  parseOrderId,
} from '../../src/domain/ids.ts';
import { aDropId } from '../support/ids.ts';
import { testSeed } from '../support/seed.ts';

const seed = testSeed('ids');
const names = fc.string({ unit: 'grapheme', minLength: 1 });

test('The same drop, buyer and key always give the same order id', () => {
  const drop = newDropId();
  const lanes = fc.integer({ min: 1, max: lanesMax });
  fc.assert(
    fc.property(names, names, lanes, (buyer, key, count) => {
      expect(orderRef(drop, buyer, key, count)).toEqual(orderRef(drop, buyer, key, count));
    }),
    { seed },
  );
  // Orders outlive releases of the engine, so the derivation itself must stay what it is.
  expect(orderId(orderRef(aDropId('drop_aaaaaaaaaaaa'), 'ann', 'tap-1', 8))).toBe(
    'ord_aaaaaaaaaaaa_5_KvaDlEEjQUhBqzwx4oNSkt',
  );
});

test('Another drop, buyer or key gives another order id, also when their joined texts are equal', () => {
  const [drop, other] = [newDropId(), newDropId()];
  const refs = [
    orderRef(drop, 'ann', 'k', 1),
    orderRef(other, 'ann', 'k', 1),
    orderRef(drop, 'bob', 'k', 1),
    orderRef(drop, 'ann', 'K', 1),
    orderRef(drop, 'an', 'nk', 1),
    orderRef(drop, 'annk', '', 1),
  ];
  expect(new Set(refs.map((ref) => ref.digest)).size).toBe(refs.length);
});

test('A buyer has one home lane whatever the key, and buyers spread over all lanes', () => {
  const drop = newDropId();
  for (const lanes of [1, 2, 7, lanesMax]) {
    const counts = Array.from({ length: lanes }, () => 0);
    for (let n = 0; n < lanes * 200; n += 1) {
      const lane = homeLane(`buyer-${n}`, lanes);
      expect(orderRef(drop, `buyer-${n}`, `key-${n % 3}`, lanes).lane).toBe(lane);
      counts[lane] = (counts[lane] ?? 0) + 1;
    }
    expect(counts.length).toBe(lanes);
    expect(Math.min(...counts)).toBeGreaterThan(100);
    expect(Math.max(...counts)).toBeLessThan(300);
  }
});

test('An order id contains its drop, lane and digest', () => {
  const lane = fc.integer({ min: 0, max: lanesMax - 1 });
  fc.assert(
    fc.property(names, names, lane, (buyer, key, number) => {
      const ref = { ...orderRef(newDropId(), buyer, key, 1), lane: number };
      expect(parseOrderId(orderId(ref))).toEqual(ref);
    }),
    { seed },
  );
});

test.for([
  ['nothing', ''],
  ['another kind of id', 'drop_aaaaaaaaaaaa'],
  ['a lane that no drop has', 'ord_aaaaaaaaaaaa_64_abcdefghijklmnopqrstuv'],
  ['a lane written another way', 'ord_aaaaaaaaaaaa_01_abcdefghijklmnopqrstuv'],
  ['a lane below zero', 'ord_aaaaaaaaaaaa_-1_abcdefghijklmnopqrstuv'],
  ['a lane in other digits', 'ord_aaaaaaaaaaaa_١_abcdefghijklmnopqrstuv'],
  ['a digest one letter short', 'ord_aaaaaaaaaaaa_0_abcdefghijklmnopqrstu'],
  ['a digest one letter long', 'ord_aaaaaaaaaaaa_0_abcdefghijklmnopqrstuvw'],
  ['a digest that closes the hash tag', 'ord_aaaaaaaaaaaa_0_}bcdefghijklmnopqrstuv'],
  ['a drop in capitals', 'ord_AAAAAAAAAAAA_0_abcdefghijklmnopqrstuv'],
  ['a line break at the end', 'ord_aaaaaaaaaaaa_0_abcdefghijklmnopqrstuv\n'],
  ['a NUL', 'ord_aaaaaaaaaaaa_0_abcdefghijklmnopqrst\0v'],
  ['a path', '../../ord_aaaaaaaaaaaa_0_abcdefghijklmnopqrstuv'],
  ['a very long text', `ord_${'a'.repeat(100_000)}`],
] as const)('no order is named by %s', ([, text]) => {
  expect(parseOrderId(text)).toBeUndefined();
});

test('Drop ids are recognised by their form', () => {
  const drop = newDropId();
  expect(isDropId(drop)).toBe(true);
  expect(`drop_${dropCode(drop)}`).toBe(drop);
  for (const text of [
    '',
    'drop_',
    `${drop}x`,
    `${drop}\n`,
    drop.toUpperCase(),
    'drop_a}b{c:1234:',
  ]) {
    expect(isDropId(text), JSON.stringify(text)).toBe(false);
  }
});

test('Fresh ids do not collide', () => {
  const ids = Array.from({ length: 10_000 }, () => newMerchantId());
  expect(new Set(ids).size).toBe(ids.length);
  for (const id of ids) expect(id).toMatch(/^mer_[a-z0-9]{12}$/);
});
