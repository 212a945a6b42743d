import { setTimeout as delay } from 'node:timers/promises';
import { conditionMs } from './patience.ts';

/**
 * Waits until a condition yields something other than undefined or false, and returns it. An error
 * that the condition throws counts as "not yet"; the last one is shown when the time is over.
 */
export async function eventually<T>(
  condition: () => T | Promise<T>,
  { withinMs = conditionMs }: { withinMs?: number } = {},
): Promise<Exclude<T, undefined | false>> {
  const started = performance.now();
  let last: unknown;
  while (performance.now() - started < withinMs) {
    try {
      const value = await condition();
      if (value !== undefined && value !== false) return value as Exclude<T, undefined | false>;
      last = value;
    } catch (error) {
      last = error;
    }
    await delay(10);
  }
  throw new Error(`not true within ${withinMs} ms; at last: ${String(last)}`, { cause: last });
}
