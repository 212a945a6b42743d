import { hash } from 'node:crypto';
import type { MerchantId } from '../../domain/ids.ts';
import { openGenerationalCache } from '../request/generational-cache.ts';
import { bearerOf } from './buyers.ts';
import { type CredentialRefusal, refused } from './refused.ts';

export type MerchantKeys = {
  /** The merchant whose API key an Authorization header carries, or why it carries none. */
  identify(authorization: string | undefined): Promise<MerchantId | CredentialRefusal>;
};

const cachedMs = 5_000;
const cachedYoungMax = 500;
const keyPattern = /^fdk_[A-Za-z0-9_-]{1,100}$/;

/** The public part of an API key, `fdk_<id>`; '' for a header that has none. */
export function keyIdOf(authorization: string | undefined): string {
  return /fdk_[^_ ]+/.exec(authorization ?? '')?.[0] ?? '';
}

/**
 * Identifies merchants by their API keys. A valid key is cached by its hash for `cachedMs`, so that a
 * revoked one is refused everywhere soon after. An invalid key is never cached, so it cannot push out
 * valid ones.
 */
export function openMerchantKeys(options: {
  verify(apiKey: string): Promise<MerchantId | undefined>;
  now?: () => number;
}): MerchantKeys {
  const { verify, now = () => performance.now() } = options;
  const cache = openGenerationalCache<{ merchantId: MerchantId; until: number }>({
    youngMax: cachedYoungMax,
  });

  return {
    async identify(authorization) {
      const apiKey = bearerOf(authorization);
      if (typeof apiKey !== 'string') return apiKey;
      if (!keyPattern.test(apiKey)) return refused.malformed;
      const digest = hash('sha256', apiKey, 'base64url');
      const known = cache.get(digest);
      if (known && known.until > now()) return known.merchantId;
      const merchantId = await verify(apiKey);
      if (merchantId === undefined) return refused.unknownKey;
      cache.set(digest, { merchantId, until: now() + cachedMs });
      return merchantId;
    },
  };
}
