import { isIP, isIPv4 } from 'node:net';

/**
 * The address of the caller, as providers take it: without the port, brackets or zone that a proxy or
 * the system adds, and IPv4 in its own form where IPv6 carries it. Undefined when it is none, such as
 * "unknown" from a proxy. `ip` is Fastify's: the nearest address that no trusted proxy has.
 */
export function clientAddress({ ip }: { ip: string | undefined }): string | undefined {
  const [, address = ''] = /^\[?([\da-f.:]+?)(?:%[\w.-]+)?(?:\]?|\]:\d+)$/i.exec(ip ?? '') ?? [];
  const [, withoutPort = address] = /^(\d+\.\d+\.\d+\.\d+):\d+$/.exec(address) ?? [];
  const [, mapped = ''] = /^::ffff:([\d.]+)$/i.exec(withoutPort) ?? [];
  if (isIPv4(mapped)) return mapped;
  return isIP(withoutPort) === 0 ? undefined : withoutPort;
}
