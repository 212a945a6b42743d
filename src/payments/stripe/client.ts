import { Agent } from 'node:http';
import { Agent as SecureAgent } from 'node:https';
import { Stripe } from 'stripe';

/** Calls under way at once: an account has about 25 a second for each kind, 100 for all. */
export const callsMax = 16;

/** Stripe's own library, on one version of the API, with every wait bounded. */
export function openClient(options: { secretKey: string; url: string; timeoutMs: number }): Stripe {
  const { protocol, hostname, port } = new URL(options.url);
  const isPlain = protocol === 'http:';
  return new Stripe(options.secretKey, {
    apiVersion: '2026-10-28.endive',
    protocol: isPlain ? 'http' : 'https',
    host: hostname.replace(/^\[|\]$/g, ''),
    port: Number(port) || (isPlain ? 80 : 443),
    timeout: options.timeoutMs,
    // The repeats are the engine's, which looks first. (A connection that was closed under a request
    // the library repeats once all the same: under the same idempotency key.)
    maxNetworkRetries: 0,
    telemetry: false,
    httpAgent: new (isPlain ? Agent : SecureAgent)({ keepAlive: true, maxSockets: callsMax }),
  });
}

/** Does `work` for each, not more than `callsMax` at once. */
export async function sideBySide<T, R>(
  all: readonly T[],
  work: (one: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const turns = Array.from({ length: Math.min(callsMax, all.length) }, async () => {
    while (next < all.length) {
      const at = next++;
      results[at] = await work(all[at] as T);
    }
  });
  await Promise.all(turns);
  return results;
}
