import type { ClientWish, WishRefusal } from '../provider.ts';
import { isReturnAddress } from '../web-address.ts';

/** A QR code to scan, a page inside WeChat, and a page in another browser of a phone. */
export const scenes = ['native', 'jsapi', 'h5'] as const;
export type Scene = (typeof scenes)[number];

/** The scene of a wish, the first one when it names none; undefined for one WeChat Pay does not have. */
export function sceneOf({ scene = scenes[0] }: ClientWish): Scene | undefined {
  return scenes.find((known) => known === scene);
}

export function refuseWish(wish: ClientWish): WishRefusal | undefined {
  const scene = sceneOf(wish);
  if (!scene) return { field: 'scene', reason: `must be one of ${scenes.join(', ')}` };
  if (scene === 'jsapi' && !/^[\w-]{1,128}$/.test(wish.openid ?? '')) {
    return { field: 'openid', reason: "is needed for jsapi: the buyer's openid under our app id" };
  }
  if (scene === 'h5' && !/^[\da-fA-F.:]{2,45}$/.test(wish.ip ?? '')) {
    return { field: 'ip', reason: "is needed for h5: the address of the buyer's phone" };
  }
  if (scene === 'h5' && wish.returnUrl && !isReturnAddress(wish.returnUrl)) {
    return { field: 'returnUrl', reason: 'must be a URL of a site or an app' };
  }
  return undefined;
}
