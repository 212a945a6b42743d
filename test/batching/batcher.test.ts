import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Batcher, openBatcher, QueueFull } from '../../src/batching/batcher.ts';
import { testSeed } from '../support/seed.ts';

type Flight = { batch: number[]; land(): void; crash(error: Error): void };

/** A gather whose flights the test lands by hand; an answer is ten times its item. */
function byHand(bounds: {
  batchMax: number;
  inFlightMax: number;
  queueMax: number;
  waitMsMax?: number;
  now?: () => number;
}): {
  flights: Flight[];
  numbers: Batcher<number, number>;
} {
  const flights: Flight[] = [];
  const run = (batch: number[]) =>
    new Promise<number[]>((resolve, reject) => {
      flights.push({ batch, land: () => resolve(batch.map((n) => n * 10)), crash: reject });
    });
  return { flights, numbers: openBatcher({ run, ...bounds }) };
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

const roomy = { batchMax: 100, inFlightMax: 1, queueMax: 100 };

test('an item that meets an idle gather leaves alone and at once', async () => {
  const { flights, numbers } = byHand(roomy);
  const answer = numbers.add(1);
  await turn();
  expect(flights.map(({ batch }) => batch)).toEqual([[1]]);
  expect([numbers.waiting(), numbers.inFlight()]).toEqual([0, 1]);
  flights[0]?.land();
  expect(await answer).toBe(10);
  expect([numbers.waiting(), numbers.inFlight()]).toEqual([0, 0]);
});

test('what arrives during a flight leaves together when it lands', async () => {
  const { flights, numbers } = byHand(roomy);
  const answers = [numbers.add(1)];
  await turn();
  for (const n of [2, 3, 4]) {
    answers.push(numbers.add(n));
    await turn();
  }
  expect(flights.length).toBe(1);
  expect(numbers.waiting()).toBe(3);
  flights[0]?.land();
  await turn();
  expect(flights[1]?.batch).toEqual([2, 3, 4]);
  flights[1]?.land();
  expect(await Promise.all(answers)).toEqual([10, 20, 30, 40]);
});

test('nothing joins a queue that has not moved for too long, until it moves again', async () => {
  let at = 0;
  const { flights, numbers } = byHand({ ...roomy, waitMsMax: 20, now: () => at });
  const answers = [numbers.add(1)];
  await turn();
  answers.push(numbers.add(2));
  at = 20;
  answers.push(numbers.add(3));
  at = 21;
  await expect(numbers.add(4)).rejects.toThrow(QueueFull);
  flights[0]?.land();
  await turn();
  answers.push(numbers.add(5));
  flights[1]?.land();
  await turn();
  flights[2]?.land();
  expect(await Promise.all(answers)).toEqual([10, 20, 30, 50]);
});

test('no batch is over its bound and no more flights are out than may be', async () => {
  const { flights, numbers } = byHand({ batchMax: 3, inFlightMax: 2, queueMax: 100 });
  const answers = Array.from({ length: 10 }, (_, n) => numbers.add(n));
  await turn();
  expect(flights.map(({ batch }) => batch)).toEqual([
    [0, 1, 2],
    [3, 4, 5],
  ]);
  expect([numbers.waiting(), numbers.inFlight()]).toEqual([4, 2]);
  flights[1]?.land();
  await turn();
  expect(flights.length).toBe(3);
  expect(numbers.inFlight()).toBe(2);
  flights[0]?.land();
  flights[2]?.land();
  await turn();
  flights[3]?.land();
  expect(await Promise.all(answers)).toEqual([0, 10, 20, 30, 40, 50, 60, 70, 80, 90]);
});

test('an item beyond the queue is refused and those in it are served', async () => {
  const { flights, numbers } = byHand({ batchMax: 2, inFlightMax: 1, queueMax: 2 });
  const first = numbers.add(1);
  await turn();
  const queued = [numbers.add(2), numbers.add(3)];
  await expect(numbers.add(4)).rejects.toBeInstanceOf(QueueFull);
  flights[0]?.land();
  await turn();
  flights[1]?.land();
  expect(await Promise.all([first, ...queued])).toEqual([10, 20, 30]);
  const later = numbers.add(5);
  await turn();
  flights[2]?.land();
  expect(await later).toBe(50);
});

test('a batch that fails fails its own items only', async () => {
  const { flights, numbers } = byHand({ batchMax: 2, inFlightMax: 2, queueMax: 100 });
  const answers = [1, 2, 3, 4, 5].map((n) => numbers.add(n));
  const settled = Promise.allSettled(answers);
  await turn();
  flights[0]?.crash(new Error('no link'));
  flights[1]?.land();
  await turn();
  flights[2]?.land();
  expect((await settled).map(({ status }) => status)).toEqual([
    ...['rejected', 'rejected', 'fulfilled', 'fulfilled', 'fulfilled'],
  ]);
  await expect(answers[0]).rejects.toThrow('no link');
  expect(numbers.inFlight()).toBe(0);
});

test('a run that throws at once, or answers too few, fails its batch and not the gather', async () => {
  let calls = 0;
  const numbers = openBatcher<number, number>({
    ...roomy,
    run(batch) {
      calls += 1;
      if (calls === 1) throw new Error('thrown at once');
      return Promise.resolve(calls === 2 ? [] : batch);
    },
  });
  await expect(numbers.add(1)).rejects.toThrow('thrown at once');
  await expect(numbers.add(2)).rejects.toThrow('bug: 1 items, 0 answers');
  expect(await numbers.add(3)).toBe(3);
});

test('whatever the bounds and the order of landing, each item gets its own answer', async () => {
  const bounds = fc.record({
    batchMax: fc.integer({ min: 1, max: 5 }),
    inFlightMax: fc.integer({ min: 1, max: 3 }),
    queueMax: fc.constant(1_000),
  });
  await fc.assert(
    fc.asyncProperty(bounds, fc.array(fc.nat(9), { maxLength: 60 }), async (bounds, steps) => {
      const { flights, numbers } = byHand(bounds);
      const open: Flight[] = [];
      const answers: Promise<number>[] = [];
      let taken = 0;
      const look = () => {
        for (; taken < flights.length; taken += 1) open.push(flights[taken] as Flight);
        expect(open.length).toBeLessThanOrEqual(bounds.inFlightMax);
        for (const { batch } of open) expect(batch.length).toBeLessThanOrEqual(bounds.batchMax);
      };
      for (const step of steps) {
        if (step < 6) answers.push(numbers.add(answers.length));
        else open.splice(step % Math.max(1, open.length), 1)[0]?.land();
        if (step % 2 === 0) await turn();
        look();
      }
      await turn();
      look();
      while (open.length > 0) {
        open.pop()?.land();
        await turn();
        look();
      }
      expect(await Promise.all(answers)).toEqual(answers.map((_, n) => n * 10));
    }),
    { seed: testSeed('gather') },
  );
});
