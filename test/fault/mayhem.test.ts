import { describe, expect, test } from 'vitest';
import { methods, planOf } from '../../loadtest/mayhem/plan.ts';
import { runMayhem } from '../../loadtest/mayhem/run.ts';
import { rowsOf, tableOf } from '../../loadtest/mayhem/table.ts';
import { saleMs } from '../support/patience.ts';
import { postgresMissing } from '../support/postgres.ts';
import { testSeed } from '../support/seed.ts';

// Two drops, four ways to pay, three providers in processes of their own with every misbehaviour on,
// workers that are killed. `npm run mayhem` is the same at any size.

const orders = 120;
const noServer = postgresMissing();

describe.skipIf(noServer !== undefined)(
  `a sale in which everything goes wrong${noServer ? `: ${noServer}` : ''}`,
  () => {
    test(
      'A sale in which everything goes wrong keeps exactly the price of each paid order, and every order ends',
      async () => {
        const said: string[] = [];
        const result = await runMayhem({
          seed: testSeed('mayhem'),
          orders,
          kills: 3,
          rate: 20,
          holdMs: 5_000,
          hurry: true,
          settleMsMax: saleMs / 2,
          say: (text) => void said.push(text),
        });
        const rows = rowsOf(result.evidence, result);
        const shown = `${said.join('\n')}\n${tableOf(rows)}`;
        expect(result.breaches, shown).toEqual([]);
        expect(result.evidence.book.acknowledged.size, shown).toBeGreaterThan(orders * 0.8);
        expect(rows.map(({ provider }) => provider)).toEqual([...methods]);
        for (const { paid, kept, due } of rows) {
          expect(paid, shown).toBeGreaterThan(0);
          expect(kept, shown).toBe(due);
        }
      },
      saleMs,
    );
  },
);

describe('The plan of a sale in which everything goes wrong', () => {
  const wanted = { orders: 500, kills: 9, workers: 2 };

  test('The same seed plans the same faults, and another seed plans others', () => {
    expect(planOf({ seed: 7, ...wanted })).toEqual(planOf({ seed: 7, ...wanted }));
    expect(planOf({ seed: 8, ...wanted })).not.toEqual(planOf({ seed: 7, ...wanted }));
  });

  test('The plan for a buyer is the same however many buyers there are', () => {
    const { comesAt: _, ...one } = planOf({ seed: 7, ...wanted }).buyers[41] ?? { comesAt: 0 };
    const { comesAt: __, ...same } = planOf({ seed: 7, ...wanted, orders: 50 }).buyers[41] ?? {
      comesAt: 0,
    };
    expect(one).toEqual(same);
  });
});
