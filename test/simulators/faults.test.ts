import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { openFaultPlan } from '../../simulators/faults.ts';
import { eventually } from '../support/eventually.ts';
import { testSeed } from '../support/seed.ts';
import { reference, startListener, startTiny } from './tiny-protocol.ts';

const one = reference(1);
const references = Array.from({ length: 40 }, (_, nth) => reference(nth));

describe('the choices of a seed', () => {
  /** Whether the calls about each reference fail, asked in this order. */
  function choices(seed: number, order: readonly string[]): Record<string, boolean[]> {
    const faults = openFaultPlan(seed);
    faults.set({ fail: 0.5, hang: 0.5 });
    const made: Record<string, boolean[]> = {};
    for (const about of order) {
      made[about] = [
        ...(made[about] ?? []),
        faults.happens('fail', about),
        faults.happens('hang', about),
      ];
    }
    return made;
  }

  it('are the same again, in whatever order other references come between', () => {
    const seed = testSeed('choices of faults');
    const calls = references.flatMap((about) => [about, about, about]);
    const usual = choices(seed, calls);
    const shuffled = fc.shuffledSubarray(calls, { minLength: calls.length });
    fc.assert(
      fc.property(shuffled, (order) => {
        expect(choices(seed, order)).toEqual(usual);
      }),
      { seed, numRuns: 20 },
    );
    expect(choices(seed + 1, calls)).not.toEqual(usual);
  });

  it('begin anew when the seed is set', () => {
    const faults = openFaultPlan(1);
    faults.set({ fail: 0.5 });
    const draw = () => references.map((about) => faults.happens('fail', about));
    const first = draw();
    expect(draw()).not.toEqual(first);
    faults.set({}, 1);
    expect(draw()).toEqual(first);
  });

  it('come out as often as the chance says', () => {
    const faults = openFaultPlan(testSeed('chances of faults'));
    faults.set({ lose: 0.2, delay: 1 });
    const asked = Array.from({ length: 5_000 }, (_, nth) => reference(nth));
    const lost = asked.filter((about) => faults.happens('lose', about)).length;
    expect(lost).toBeGreaterThan(850);
    expect(lost).toBeLessThan(1_150);
    expect(asked.every((about) => faults.happens('delay', about))).toBe(true);
    expect(asked.some((about) => faults.happens('hang', about))).toBe(false);
  });
});

describe('an API call', () => {
  it('that is refused answers 500 and has done nothing', async () => {
    const tiny = await startTiny();
    await tiny.faults({ refuse: 1 });
    expect((await tiny.open(one)).status).toBe(500);
    expect((await tiny.ledger()).charges).toEqual([]);
  });

  it('that fails answers 500 and has done its work', async () => {
    const tiny = await startTiny();
    await tiny.faults({ fail: 1 });
    const answer = await tiny.open(one);
    expect(answer.status).toBe(500);
    expect(await answer.json()).toHaveProperty('error.type', 'api_error');
    expect((await tiny.ledger()).charges).toMatchObject([{ reference: one, state: 'open' }]);
  });

  it('that failed under a key fails under it for ever; under another, or none, it is done', async () => {
    const tiny = await startTiny();
    await tiny.faults({ fail: 1 });
    expect((await tiny.open(one, {}, { 'idempotency-key': 'k1' })).status).toBe(500);
    await tiny.faults({ fail: 0 });
    expect((await tiny.open(one, {}, { 'idempotency-key': 'k1' })).status).toBe(500);
    expect((await tiny.open(one, {}, { 'idempotency-key': 'k2' })).status).toBe(200);
    expect((await tiny.open(one)).status).toBe(200);
  });

  it('that was refused under a key is done when it is repeated', async () => {
    const tiny = await startTiny();
    await tiny.faults({ refuse: 1 });
    expect((await tiny.open(one, {}, { 'idempotency-key': 'k1' })).status).toBe(500);
    await tiny.faults({ refuse: 0 });
    expect((await tiny.open(one, {}, { 'idempotency-key': 'k1' })).status).toBe(200);
  });

  it('that hangs has done its work and is never answered, until the simulator stops', async () => {
    const tiny = await startTiny();
    await tiny.faults({ hang: 1 });
    const hanging = tiny.open(one).then(
      () => 'answered',
      () => 'cut',
    );
    await eventually(async () => (await tiny.ledger()).charges.length === 1);
    // A stop that waited for the answer would not end.
    await tiny.stop();
    expect(await hanging).toBe('cut');
  });

  it('that is slow is answered later, with its work done before', async () => {
    const tiny = await startTiny();
    await tiny.faults({ slow: 1, slowMs: 300 });
    const started = performance.now();
    const answer = tiny.open(one);
    await eventually(async () => (await tiny.ledger()).charges.length === 1);
    expect((await answer).status).toBe(200);
    expect(performance.now() - started).toBeGreaterThanOrEqual(290);
  });

  it('has the luck of its seed, however the calls of a run are mixed', async () => {
    const seed = testSeed('luck of API calls');
    const run = async (inParallel: boolean) => {
      const tiny = await startTiny();
      await tiny.faults({ seed, fail: 0.3, refuse: 0.3 });
      const statuses: Record<string, number[]> = {};
      const call = async (about: string) => {
        for (let nth = 0; nth < 3; nth++) {
          const { status } = await tiny.open(about);
          statuses[about] = [...(statuses[about] ?? []), status];
        }
      };
      if (inParallel) await Promise.all(references.toReversed().map(call));
      else for (const about of references) await call(about);
      return { statuses, charges: (await tiny.ledger()).charges.length };
    };
    const usual = await run(false);
    expect(await run(true)).toEqual(usual);
    expect(usual.charges).toBeLessThanOrEqual(references.length);
    expect(Object.values(usual.statuses).flat().toSorted()).toContain(500);
  });

  it('of a person is left alone: pages, and what asks for HTML', async () => {
    const tiny = await startTiny();
    await tiny.faults({ refuse: 1 });
    expect((await fetch(`${tiny.url}/pay`)).status).toBe(200);
    await tiny.open(one, {}, { accept: 'text/html' });
    expect((await tiny.ledger()).charges).toHaveLength(1);
  });

  it('by the provider reference has the luck of its charge', async () => {
    const tiny = await startTiny();
    const { url: notifyUrl } = await startListener();
    const opened = await tiny.open(one, { notifyUrl });
    const { providerReference } = (await opened.json()) as { providerReference: string };
    await tiny.faults({ seed: 3, refuse: 0.5 });
    const look = async (by: string) => {
      const statuses: number[] = [];
      for (let nth = 0; nth < 10; nth++) {
        statuses.push((await fetch(`${tiny.url}/charges/${by}`)).status === 500 ? 500 : 0);
      }
      return statuses;
    };
    const byOwn = await look(one);
    await tiny.faults({ seed: 3 });
    expect(await look(providerReference)).toEqual(byOwn);
  });
});
