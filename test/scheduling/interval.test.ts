import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { openInterval } from '../../src/scheduling/interval.ts';

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
afterEach(() => void vi.useRealTimers());

const unexpected = (error: unknown) => {
  throw error;
};

test('An interval pauses after each run for its time, within its jitter', async () => {
  let runs = 0;
  const interval = openInterval({
    async run() {
      runs += 1;
    },
    everyMs: 1_000,
    jitter: 0.5,
    onError: unexpected,
  });
  interval.start();
  await vi.advanceTimersByTimeAsync(0);
  expect(runs).toBe(1);
  await vi.advanceTimersByTimeAsync(749);
  expect(runs).toBe(1);
  await vi.advanceTimersByTimeAsync(501);
  expect(runs).toBe(2);
  await interval.stop();
  await vi.advanceTimersByTimeAsync(10_000);
  expect(runs).toBe(2);
});

test('A run of an interval never begins while the one before goes on, and a stop waits for it', async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  let runs = 0;
  const interval = openInterval({
    async run() {
      runs += 1;
      await promise;
    },
    everyMs: 10,
    onError: unexpected,
  });
  interval.start();
  interval.start();
  await vi.advanceTimersByTimeAsync(1_000);
  expect(runs).toBe(1);
  let isStopped = false;
  const stopped = interval.stop().then(() => {
    isStopped = true;
  });
  await vi.advanceTimersByTimeAsync(1_000);
  expect(isStopped).toBe(false);
  resolve();
  await stopped;
  expect(runs).toBe(1);
});

test('An interval goes on after a failed run, and counts how many failed in a row for the pause', async () => {
  const failed: number[] = [];
  let works = false;
  let runs = 0;
  const interval = openInterval({
    async run() {
      runs += 1;
      if (!works) throw new Error('away');
    },
    everyMs: 1_000_000,
    failurePauseMs: (failures) => failures * 100,
    onError: (_, failures) => failed.push(failures),
  });
  interval.start();
  await vi.advanceTimersByTimeAsync(0);
  await vi.advanceTimersByTimeAsync(100);
  await vi.advanceTimersByTimeAsync(199);
  expect(failed).toEqual([1, 2]);
  works = true;
  await vi.advanceTimersByTimeAsync(1);
  expect(runs).toBe(3);
  await interval.stop();
  expect(failed).toEqual([1, 2]);
});

test('A wake-up during a run is not lost: another run follows at once', async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  let runs = 0;
  const interval = openInterval({
    async run() {
      runs += 1;
      if (runs === 1) await promise;
    },
    everyMs: 1_000_000,
    onError: unexpected,
  });
  interval.start();
  interval.wake();
  resolve();
  await vi.waitFor(() => expect(runs).toBe(2));
  interval.wake();
  await vi.waitFor(() => expect(runs).toBe(3));
  await interval.stop();
});

test('A run that asks for no pause is followed by the next at once', async () => {
  let runs = 0;
  const interval = openInterval({
    async run() {
      runs += 1;
      return { pauseMs: runs < 5 ? 0 : 1_000 };
    },
    everyMs: 1_000_000,
    onError: unexpected,
  });
  interval.start();
  await vi.waitFor(() => expect(runs).toBe(5));
  await vi.advanceTimersByTimeAsync(1_000);
  expect(runs).toBe(6);
  await interval.stop();
});

test('An interval that was stopped in a run starts again after it, with a signal of its own', async () => {
  const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let runs = 0;
  const interval = openInterval({
    async run() {
      runs += 1;
      await gates[runs - 1]?.promise;
    },
    everyMs: 1_000_000,
    onError: unexpected,
  });
  interval.start();
  await vi.waitFor(() => expect(runs).toBe(1));
  const first = interval.signal;
  void interval.stop();
  interval.start();
  expect(first.aborted).toBe(true);
  expect(interval.signal.aborted).toBe(false);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(runs).toBe(1);
  gates[0]?.resolve();
  await vi.waitFor(() => expect(runs).toBe(2));
  gates[1]?.resolve();
  await interval.stop();
});

test('An interval that pauses first and is stopped at once never runs and does not wait out the pause', async () => {
  let runs = 0;
  const interval = openInterval({
    async run() {
      runs += 1;
    },
    everyMs: 60_000,
    pausesFirst: true,
    onError: unexpected,
  });
  interval.start();
  await interval.stop();
  expect(runs).toBe(0);
});
