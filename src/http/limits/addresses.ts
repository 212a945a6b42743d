import { isIPv6 } from 'node:net';
import { clientAddress } from '../request/client-address.ts';

/**
 * The network that an address stands for: an IPv4 address itself, of IPv6 the /64 that one customer
 * has, in which every request may come from another address. Some proxies write the port of each
 * connection behind the address, which says nothing of the network.
 */
export function networkOf(address: string): string {
  const bare = clientAddress({ ip: address }) ?? address;
  if (!isIPv6(bare)) return bare;
  const [head = '', tail] = bare.split('::');
  const start = head === '' ? [] : head.split(':');
  const end = tail ? tail.split(':') : [];
  const zeros = tail === undefined ? 0 : 8 - start.length - end.length;
  const groups = [...start, ...Array<string>(Math.max(0, zeros)).fill('0'), ...end];
  return `${groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':')}::/64`;
}
