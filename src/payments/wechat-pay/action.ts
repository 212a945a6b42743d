import { type Fields, textOf } from '../json.ts';
import type { ClientAction, ClientWish } from '../provider.ts';
import { isWebAddress } from '../web-address.ts';
import type { Merchant } from './merchant.ts';
import { pageParameters } from './signing.ts';
import type { Scene } from './wish.ts';

/** What the buyer's client does to pay; undefined when WeChat Pay's answer does not have it. */
export async function actionOf(
  merchant: Merchant,
  placed: { scene: Scene; wish: ClientWish; fields: Fields },
): Promise<ClientAction | undefined> {
  const { scene, wish, fields } = placed;
  switch (scene) {
    case 'native': {
      const text = textOf(fields, 'code_url');
      return text === undefined ? undefined : { kind: 'qr', text };
    }
    case 'jsapi': {
      const prepayId = textOf(fields, 'prepay_id');
      if (prepayId === undefined) return undefined;
      const parameters = await pageParameters(merchant, { prepayId, at: merchant.clock.now() });
      return { kind: 'sdk', parameters };
    }
    case 'h5': {
      const url = textOf(fields, 'h5_url');
      return url === undefined ? undefined : redirectTo(url, wish.returnUrl);
    }
  }
}

function redirectTo(url: string, returnUrl: string | undefined): ClientAction | undefined {
  if (!isWebAddress(url)) return undefined;
  if (!returnUrl) return { kind: 'redirect', url };
  const mark = url.includes('?') ? '&' : '?';
  return { kind: 'redirect', url: `${url}${mark}redirect_url=${encodeURIComponent(returnUrl)}` };
}
