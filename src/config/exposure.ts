import { isIP } from 'node:net';
import type { PaymentSettings } from './payments.ts';
import { type SettingsReader, someOf } from './settings.ts';
import type { TokenRules } from './token-rules.ts';

type Exposed = { demo: boolean; host: string; tokens: TokenRules; payments: PaymentSettings };

/** What an operator may allow by name, though it gives buyers or money away. */
const exposures = someOf('plain-http', 'live-demo');

/**
 * Refuses settings by which others take what is not theirs: whoever is on the way to a key server or
 * payment provider over plain http can answer in its place, and whoever reaches a demo is any buyer.
 */
export function refuseExposure({ read, problems }: SettingsReader, config: Exposed): void {
  const allowed = read('FLASHDROP_ALLOW_INSECURE', exposures) ?? new Set();
  const plain = outgoing(config).filter(({ url }) => isPlain(url));
  for (const { name, url } of allowed.has('plain-http') ? [] : plain) {
    problems.push(
      `${name} is plain http to ${new URL(url).host}: anybody on the way can answer in its place; ` +
        'write https://, or set FLASHDROP_ALLOW_INSECURE=plain-http to allow it',
    );
  }
  const live = liveProviders(config.payments);
  if (!config.demo || isLoopback(config.host) || live.length === 0) return;
  if (allowed.has('live-demo')) return;
  problems.push(
    `FLASHDROP_DEMO is on, FLASHDROP_HOST is "${config.host}", and ${live.join(', ')} takes real money: ` +
      'anybody who reaches it can be any buyer; set FLASHDROP_DEMO=off, or ' +
      'FLASHDROP_ALLOW_INSECURE=live-demo to allow it',
  );
}

/** The URLs that the engine trusts the answers of, by the setting of each. */
function outgoing({ tokens, payments }: Pick<Exposed, 'tokens' | 'payments'>) {
  const { stripe, alipay, wechatPay } = payments;
  return [
    { name: 'FLASHDROP_JWKS_URL', url: tokens.kind === 'jwks' ? tokens.url : undefined },
    { name: 'FLASHDROP_STRIPE_URL', url: stripe?.url },
    { name: 'FLASHDROP_ALIPAY_URL', url: alipay?.url },
    { name: 'FLASHDROP_WECHAT_PAY_URL', url: wechatPay?.url },
  ].flatMap(({ name, url }) => (url === undefined ? [] : [{ name, url }]));
}

/** Names of the configured providers that take real money: not in test mode, nor on this machine. */
function liveProviders({ stripe, alipay, wechatPay }: PaymentSettings): string[] {
  const isReal = (url: string | undefined) => url !== undefined && !isLoopback(hostOf(url));
  const live = {
    stripe: isReal(stripe?.url) && /^[sr]k_live_/.test(stripe?.secretKey ?? ''),
    // Alipay's sandbox is on hosts of alipaydev.com; WeChat Pay has none.
    alipay: isReal(alipay?.url) && !/(^|\.)alipaydev\.com$/.test(hostOf(alipay?.url ?? '')),
    wechat_pay: isReal(wechatPay?.url),
  };
  return Object.entries(live).flatMap(([name, isLive]) => (isLive ? [name] : []));
}

function isPlain(url: string): boolean {
  return url.toLowerCase().startsWith('http:') && !isLoopback(hostOf(url));
}

function hostOf(url: string): string {
  return URL.parse(url)?.hostname ?? '';
}

/** Whether a host is this machine alone: by name, or by an address, with or without brackets. */
export function isLoopback(host: string): boolean {
  const bare = host.replace(/^\[|\]$/g, '').toLowerCase();
  if (isIP(bare) === 4) return bare.startsWith('127.');
  return bare === 'localhost' || bare === '::1';
}
