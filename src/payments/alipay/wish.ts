import type { ClientWish, WishRefusal } from '../provider.ts';
import { isWebAddress } from '../web-address.ts';

/** Computer website, mobile website, app: Alipay's products of the same names. */
export const scenes = ['page', 'wap', 'app'] as const;
export type Scene = (typeof scenes)[number];

const addressMax = 256;

/** The scene of a wish, the first one when it names none; undefined for one that Alipay does not have. */
export function sceneOf({ scene = scenes[0] }: ClientWish): Scene | undefined {
  return scenes.find((name) => name === scene);
}

export function refuseWish(wish: ClientWish): WishRefusal | undefined {
  if (sceneOf(wish) === undefined) {
    return { field: 'scene', reason: `must be one of ${scenes.join(', ')}` };
  }
  if (wish.returnUrl === undefined || isWebAddress(wish.returnUrl, addressMax)) return undefined;
  return {
    field: 'returnUrl',
    reason: `must be a web address of at most ${addressMax} characters`,
  };
}
