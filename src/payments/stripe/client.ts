import { Agent } from 'node:http';
import { Agent as SecureAgent } from 'node:https';
import { Stripe } from 'stripe';

/**
 * Calls at a time. An account may make 100 calls a second, about 25 of a kind
 * (https://docs.stripe.com/rate-limits).
 */
export const callsMax = 16;

/** Stripe's own library, on one version of the API, with a time limit on every call. */
export function openClient(options: { secretKey: string; url: string; timeoutMs: number }): Stripe {
  const { protocol, hostname, port } = new URL(options.url);
  const isPlain = protocol === 'http:';
  return new Stripe(options.secretKey, {
    apiVersion: '2026-10-28.endive',
    protocol: isPlain ? 'http' : 'https',
    host: hostname.replace(/^\[|\]$/g, ''),
    port: Number(port) || (isPlain ? 80 : 443),
    timeout: options.timeoutMs,
    // Repeats are the engine's, which looks the payment up first. (The library still repeats a request
    // once when its connection was closed, under the same idempotency key.)
    maxNetworkRetries: 0,
    telemetry: false,
    httpAgent: new (isPlain ? Agent : SecureAgent)({ keepAlive: true, maxSockets: callsMax }),
  });
}
