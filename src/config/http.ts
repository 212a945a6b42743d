import { isIP } from 'node:net';
import { type Kind, type SettingsReader, wholeNumber } from './settings.ts';

/** Settings of the http server. */
export type HttpSettings = {
  /** How long an idle connection is kept open, ms; the server's default when undefined. */
  keepAliveMs: number | undefined;
  /** Addresses, CIDR ranges and names of ranges whose X-Forwarded-* headers are believed. */
  trustedProxies: string[];
  /** Origins of pages that a buyer may be sent back to after paying, besides the public URL's. */
  allowedOrigins: string[];
  /** Schemes of apps that a buyer may be sent back to, without the colon. */
  allowedSchemes: string[];
};

export function readHttp({ read }: SettingsReader): HttpSettings {
  return {
    keepAliveMs: read('FLASHDROP_KEEP_ALIVE_MS', wholeNumber(1_000, 7_200_000)),
    trustedProxies: read('FLASHDROP_TRUSTED_PROXIES', proxies) ?? [],
    allowedOrigins: read('FLASHDROP_ALLOWED_ORIGINS', origins) ?? [],
    allowedSchemes: read('FLASHDROP_ALLOWED_SCHEMES', schemes) ?? [],
  };
}

/** A comma-separated list; undefined when a member of it is not allowed. */
function listOf(one: Kind<string>): Kind<string[]> {
  return {
    allowed: `a comma-separated list of ${one.allowed}`,
    parse(text) {
      const parts = text.split(',').map((part) => one.parse(part.trim()));
      const known = parts.filter((part) => part !== undefined);
      return known.length === parts.length ? known : undefined;
    },
  };
}

const rangeNames = ['loopback', 'linklocal', 'uniquelocal'];

/** A number of hops is none: whoever reaches the engine directly could claim any address. */
const proxies = listOf({
  allowed: `addresses and ranges such as 10.0.0.0/8 or fd00::/8, and of ${rangeNames.join(', ')}`,
  parse(text) {
    if (rangeNames.includes(text)) return text;
    const [address = '', prefix, ...rest] = text.split('/');
    const version = address.includes('%') ? 0 : isIP(address);
    if (version === 0 || rest.length > 0) return undefined;
    if (prefix === undefined) return text;
    // A range of all addresses would believe everybody.
    const length = /^[1-9]\d{0,2}$/.test(prefix) ? Number(prefix) : 0;
    return length >= 1 && length <= (version === 4 ? 32 : 128) ? text : undefined;
  },
});

const origins = listOf({
  allowed: 'origins such as https://shop.example, without a path',
  parse(text) {
    const url = URL.parse(text);
    if (!url || !/^https?:$/.test(url.protocol) || /[\\@]/.test(text)) return undefined;
    return text.toLowerCase().replace(/\/$/, '') === url.origin ? url.origin : undefined;
  },
});

/** Schemes that a browser or a device gives a meaning of its own. */
const reserved =
  /^(?:https?|wss?|ftp|file|data|blob|about|javascript|vbscript|view-source|intent|mailto|tel|sms|filesystem|content|chrome|resource|jar)$/;
const schemePattern = /^[a-z][a-z0-9+.-]{1,63}$/;

const schemes = listOf({
  allowed: "schemes of your own apps such as shopapp, without a colon and not a browser's own",
  parse: (text) => (schemePattern.test(text) && !reserved.test(text) ? text : undefined),
});
