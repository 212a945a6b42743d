import fc from 'fast-check';
import { expect, test } from 'vitest';
import { openFairQueue } from '../../src/batching/fair-queue.ts';
import { testSeed } from '../support/seed.ts';

test('Whatever comes, a fair queue keeps to its size, serves sources in turn, and drops of a source with most items only', () => {
  const steps = fc.array(
    fc.oneof(fc.record({ source: fc.integer({ min: 0, max: 4 }) }), fc.record({ take: fc.nat(6) })),
    { maxLength: 80 },
  );
  const check = fc.property(fc.integer({ min: 1, max: 12 }), steps, (sizeMax, all) => {
    const queue = openFairQueue<{ source: string; n: number }>(sizeMax);
    const waiting = new Map<string, number[]>();
    const of = (source: string) => waiting.get(source) ?? [];
    const remove = ({ source, n }: { source: string; n: number }) => {
      expect(of(source)).toContain(n);
      waiting.set(
        source,
        of(source).filter((one) => one !== n),
      );
    };
    for (const [n, step] of all.entries()) {
      if ('source' in step) {
        const source = `network ${step.source}`;
        const lengths = [...waiting.values()].map(({ length }) => length);
        const dropped = queue.add({ source, n }, source);
        if (dropped) {
          expect(of(dropped.source)).toHaveLength(Math.max(...lengths));
          remove(dropped);
        }
        waiting.set(source, [...of(source), n]);
      } else {
        const before = [...waiting].filter(([, items]) => items.length > 0);
        const taken = queue.take(step.take);
        expect(taken).toHaveLength(
          Math.min(step.take, before.flatMap(([, items]) => items).length),
        );
        // Nobody is served twice while another waits, and each source in the order of its items.
        const first = new Set(taken.slice(0, before.length).map(({ source }) => source));
        expect(first.size).toBe(Math.min(taken.length, before.length));
        for (const item of taken) {
          expect(item.n).toBe(Math.min(...of(item.source)));
          remove(item);
        }
      }
      const left = [...waiting.values()].flat().length;
      expect(queue.size()).toBe(left);
      expect(left).toBeLessThanOrEqual(sizeMax);
    }
  });
  fc.assert(check, { seed: testSeed('fair queue') });
});
