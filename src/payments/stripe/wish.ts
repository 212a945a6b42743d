import type { ClientWish, WishRefusal } from '../provider.ts';
import { isReturnAddress } from '../web-address.ts';

const urlMax = 2_048;

export function refuseWish({ returnUrl }: ClientWish): WishRefusal | undefined {
  if (returnUrl === undefined || isReturnAddress(returnUrl, urlMax)) return undefined;
  return {
    field: 'returnUrl',
    reason: `must be a URL of a site or an app, of at most ${urlMax} characters`,
  };
}
