import { hash } from 'node:crypto';
import { openMemory } from '../request/generational-cache.ts';
import { bearerOf } from './buyers.ts';

export type MerchantKeys = {
  /** The merchant whose API key an Authorization header carries, undefined when it is no good. */
  identify(authorization: string | undefined): Promise<string | undefined>;
};

const rememberedMs = 5_000;
const rememberedYoungMax = 500;
const keyPattern = /^fdk_[A-Za-z0-9_-]{1,100}$/;

/**
 * Knows merchants by their API keys. A good key is remembered by its hash for a few seconds, after
 * which a revoked one is refused everywhere; a bad one is never remembered, so it cannot crowd out
 * good ones.
 */
export function openMerchantKeys(options: {
  verify(apiKey: string): Promise<string | undefined>;
  now?: () => number;
}): MerchantKeys {
  const { verify, now = () => performance.now() } = options;
  const remembered = openMemory<{ merchantId: string; until: number }>({
    youngMax: rememberedYoungMax,
  });

  return {
    async identify(authorization) {
      const apiKey = bearerOf(authorization);
      if (apiKey === undefined || !keyPattern.test(apiKey)) return undefined;
      const digest = hash('sha256', apiKey, 'base64url');
      const known = remembered.get(digest);
      if (known && known.until > now()) return known.merchantId;
      const merchantId = await verify(apiKey);
      if (merchantId === undefined) return undefined;
      remembered.set(digest, { merchantId, until: now() + rememberedMs });
      return merchantId;
    },
  };
}
