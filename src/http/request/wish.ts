import type { ClientWish } from '../../payments/provider.ts';
import { invalid } from '../problems/problems.ts';
import { clientAddress } from './client-address.ts';
import type { ReturnUrls } from './return-urls.ts';

/**
 * How the buyer of a request wants to pay, and from which address.
 * @throws Problem invalid_request when the buyer may not be sent back to `returnUrl`
 */
export function wishOf(
  request: { ip: string | undefined; body?: Omit<ClientWish, 'ip'> | undefined },
  returnUrls: ReturnUrls,
): ClientWish {
  const { scene, openid, returnUrl } = request.body ?? {};
  const reason = returnUrl === undefined ? undefined : returnUrls.refuse(returnUrl);
  if (reason !== undefined) throw invalid('returnUrl', reason);
  return { scene, openid, returnUrl, ip: clientAddress(request) };
}
