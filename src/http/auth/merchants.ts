import { hash } from 'node:crypto';
import { openMisses } from '../../batching/misses.ts';
import { lookUpLimits, openPacedBatcher } from '../../batching/paced-batcher.ts';
import type { MerchantId } from '../../domain/ids.ts';
import { openGenerationalCache } from '../request/generational-cache.ts';
import { bearerOf } from './buyers.ts';
import { type CredentialRefusal, refused } from './refused.ts';

export type MerchantKeys = {
  /**
   * The merchant whose API key an Authorization header carries, or why it carries none.
   * @throws QueueFull when too many unknown keys wait to be looked up, most of them from its network
   */
  identify(
    authorization: string | undefined,
    from?: { readonly ip: string },
  ): Promise<MerchantId | CredentialRefusal>;
};

const cachedMs = 5_000;
const cachedYoungMax = 500;
const missesMax = 10_000;
/** What is meant as a key, and the form of newApiKey (ledger/merchants.ts): no other is looked up. */
const meantPattern = /^fdk_[A-Za-z0-9_-]{1,100}$/;
const keyPattern = /^fdk_[a-z0-9]{12}_[A-Za-z0-9_-]{43}$/;

/** The public part of an API key, `fdk_<id>`; '' for a header that has none. */
export function keyIdOf(authorization: string | undefined): string {
  return /fdk_[^_ ]+/.exec(authorization ?? '')?.[0] ?? '';
}

/**
 * Identifies merchants by their API keys. A valid key is cached by its hash for `cachedMs`, so that a
 * revoked one is refused everywhere soon after. Keys that were never valid here are looked up in
 * batches, which bound what made-up ones cost the ledger, and in which networks have their turns; a
 * key that was valid before does not queue behind them. An invalid key is kept apart, so it cannot
 * push out valid ones.
 */
export function openMerchantKeys(options: {
  /** The merchant of each key, in their order. */
  verifyAll(apiKeys: readonly string[]): Promise<(MerchantId | undefined)[]>;
  /** The network of an address: each has its turns. */
  networkOf?(address: string): string;
  now?: () => number;
}): MerchantKeys {
  const { verifyAll, networkOf = (address) => address } = options;
  const { now = () => performance.now() } = options;
  const cache = openGenerationalCache<{ merchantId: MerchantId; until: number }>({
    youngMax: cachedYoungMax,
  });
  const misses = openMisses<true>({ keptMs: cachedMs, namesMax: missesMax, now });
  const lookUps = openPacedBatcher<string, MerchantId | undefined>({
    ...lookUpLimits,
    async run(apiKeys) {
      const owners = await verifyAll(apiKeys);
      return owners.map((value) => ({ status: 'fulfilled', value }));
    },
  });

  async function verifyAgain(apiKey: string): Promise<MerchantId | undefined> {
    const [merchantId] = await verifyAll([apiKey]);
    return merchantId;
  }

  return {
    async identify(authorization, { ip } = { ip: '' }) {
      const apiKey = bearerOf(authorization);
      if (typeof apiKey !== 'string') return apiKey;
      if (!meantPattern.test(apiKey)) return refused.malformed;
      if (!keyPattern.test(apiKey)) return refused.unknownKey;
      const digest = hash('sha256', apiKey, 'base64url');
      const known = cache.get(digest);
      if (known && known.until > now()) return known.merchantId;
      if (misses.get(digest)) return refused.unknownKey;
      const merchantId = await (known ? verifyAgain(apiKey) : lookUps.add(apiKey, networkOf(ip)));
      if (merchantId === undefined) {
        misses.add(digest, true);
        return refused.unknownKey;
      }
      cache.set(digest, { merchantId, until: now() + cachedMs });
      return merchantId;
    },
  };
}
