import { FlashdropError, noAnswer } from './problem.ts';

/** Milliseconds on a clock that no user or time server sets back. */
export const monotonic = (): number => globalThis.performance?.now() ?? Date.now();

/** Full jitter: anything up to a bound that doubles with each failure, ms. */
export function jitter(failures: number, { firstMs = 500, mostMs = 8_000 } = {}): number {
  return Math.random() * Math.min(mostMs, firstMs * 2 ** failures);
}

/** What an aborted call throws. */
export function reasonOf(signal: AbortSignal): unknown {
  return signal.reason ?? new Error('The call was aborted');
}

/** @throws the signal's reason, as soon as it is aborted */
export function pause(ms: number, signal?: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(end, ms);
    function end(): void {
      clearTimeout(timer);
      signal?.removeEventListener('abort', end);
      if (signal?.aborted) reject(reasonOf(signal));
      else resolve();
    }
    signal?.addEventListener('abort', end);
    if (signal?.aborted) end();
  });
}

/** Waits for something that knows of no signal. @throws the signal's reason, as soon as it is aborted */
export function untilAborted<T>(value: T | Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const abort = () => reject(reasonOf(signal));
    const end = () => signal.removeEventListener('abort', abort);
    signal.addEventListener('abort', abort);
    if (signal.aborted) abort();
    Promise.resolve(value).finally(end).then(resolve, reject);
  });
}

/**
 * A signal that follows another one and aborts by itself, with a FlashdropError, when `within` ms are over.
 * AbortSignal.any and AbortSignal.timeout would do the same, but not everywhere yet.
 */
export function openLimit(signal: AbortSignal | undefined, ms: number) {
  const controller = new AbortController();
  const abort = () => controller.abort(signal && reasonOf(signal));
  let timer: ReturnType<typeof setTimeout> | undefined;
  const limit = {
    signal: controller.signal,
    /** Starts the time anew. */
    within(ms: number): void {
      clearTimeout(timer);
      timer = setTimeout(() => controller.abort(new FlashdropError(noAnswer)), ms);
    },
    /** Aborts what still uses the signal, and lets go of the other one. */
    end(): void {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
      controller.abort();
    },
  };
  signal?.addEventListener('abort', abort);
  if (signal?.aborted) abort();
  limit.within(ms);
  return limit;
}

/** Follows the engine's clock, whatever the device's says. */
export function openClock() {
  let leastMs = Number.POSITIVE_INFINITY;
  let offset: number | undefined;

  return {
    /** The engine's time, ms since the epoch; the device's until an answer has told it. */
    now: (): number => (offset === undefined ? Date.now() : monotonic() + offset),
    /**
     * Takes the `serverTime` of an answer that was asked for at `sentAt` and came at `receivedAt`, both
     * monotonic. The quickest answer tells best: its time was written half way. And no answer can
     * come before it was written, so a later one may show that the offset is too small: after the
     * device slept, during which its clock may stand still.
     */
    measure(serverTime: string, receivedAt: number, sentAt = Number.NEGATIVE_INFINITY): void {
      const least = Date.parse(serverTime) - receivedAt;
      if (Number.isNaN(least)) return;
      const tookMs = receivedAt - sentAt;
      if (tookMs < leastMs) {
        leastMs = tookMs;
        offset = least + tookMs / 2;
      }
      offset = Math.max(offset ?? least, least);
    },
  };
}
