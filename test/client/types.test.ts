import { readFileSync } from 'node:fs';
import { expect, expectTypeOf, test } from 'vitest';
import type { Card, Order, ProblemCode, Wish } from '../../client/src/index.ts';
import { clientDocument, headOf, typesFile } from '../../scripts/client-types.ts';

test('The types of the client are those of the OpenAPI document of today', async () => {
  const [head] = readFileSync(typesFile, 'utf8').split('\n', 1);
  expect(head, 'the API has changed: run `npm run client:types`').toBe(
    headOf(await clientDocument()),
  );
});

test('The types of the client know the routes of buyers and visitors, and none of merchants', async () => {
  const { paths } = JSON.parse(await clientDocument());
  expect(Object.keys(paths)).toContain('/v1/drops/{drop}/orders');
  expect(Object.keys(paths['/v1/drops/{drop}/orders'])).toEqual(['post']);
  expect(Object.keys(paths).filter((path) => /merchants|report|refund|demo/.test(path))).toEqual(
    [],
  );
});

test('Orders, cards and codes have the types that the document gives them', () => {
  expectTypeOf<Order['state']>().toEqualTypeOf<'reserved' | 'paid' | 'released' | 'refunded'>();
  expectTypeOf<Order['amount']>().toEqualTypeOf<number>();
  expectTypeOf<Card['serverTime']>().toEqualTypeOf<string>();
  expectTypeOf<Card['paymentMethods'][number]['method']>().toExtend<Wish['method']>();
  expectTypeOf<'sold_out' | 'buyer_limit' | 'rate_limited'>().toExtend<ProblemCode>();
  expectTypeOf<'drop_action_refused'>().not.toExtend<ProblemCode>();
});
