import type { ClientWish, WishRefusal } from '../provider.ts';
import { isWebAddress } from '../web-address.ts';

const urlMax = 2_048;

export function refuseWish({ returnUrl }: ClientWish): WishRefusal | undefined {
  if (returnUrl === undefined || isWebAddress(returnUrl, urlMax)) return undefined;
  return {
    field: 'returnUrl',
    reason: `must be an http or https address of at most ${urlMax} characters`,
  };
}
