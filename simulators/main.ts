import { randomInt } from 'node:crypto';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Protocol, ProviderName } from './protocol.ts';
import { type ServedSimulator, serveSimulator } from './server.ts';

const publicUrlDefault = 'http://127.0.0.1:8080';
const usage = `node simulators/main.ts PROVIDER|all [--port N] [--seed N] [--public-url URL] [--books FOLDER]
  Serves stripe, alipay or wechat_pay on loopback, or all of them on ports that follow each other,
  and prints a line of JSON for each: {provider, url, seed, settings}. The settings are environment
  variables with which an engine talks to it. The public URL is where it reaches that engine, the
  same as the engine's FLASHDROP_PUBLIC_URL; ${publicUrlDefault} unless given. With --books a
  provider's books are kept in a file there and read again at the next start. Started with an IPC channel it sends the same as
  messages, then {serving: true}, and ends when the channel does.`;

/** Loaded on demand: each generates keys, which takes a while. */
const protocols: Record<ProviderName, () => Promise<Protocol>> = {
  stripe: async () => (await import('./stripe.ts')).openStripeProtocol(),
  alipay: async () => (await import('./alipay.ts')).openAlipayProtocol(),
  wechat_pay: async () => (await import('./wechat-pay.ts')).openWechatPayProtocol(),
};
const names = Object.keys(protocols) as ProviderName[];

const stopMsMax = 2_000;

process.exitCode = await main();

async function main(): Promise<number> {
  const options = readOptions();
  if (!options) {
    process.stderr.write(`${usage}\n`);
    return 2;
  }
  const { asked, port, seed, publicUrl, books } = options;
  const served: ServedSimulator[] = [];
  for (const [nth, provider] of asked.entries()) {
    const simulator = await serveSimulator(await protocols[provider](), {
      port: port === 0 ? 0 : port + nth,
      seed,
      publicUrl,
      file: books === undefined ? undefined : join(books, `${provider}.json`),
    });
    served.push(simulator);
    const told = { provider, url: simulator.url, seed, settings: simulator.settings };
    process.stdout.write(`${JSON.stringify(told)}\n`);
    process.send?.(told);
  }
  process.send?.({ serving: true });
  await toldToStop();
  // Open handles must not keep the process alive.
  setTimeout(() => process.exit(), stopMsMax).unref();
  await Promise.all(served.map(({ stop }) => stop()));
  if (process.connected) process.disconnect();
  return 0;
}

/** Resolves on a signal, or when the parent process ends. */
function toldToStop(): Promise<void> {
  return new Promise((resolve) => {
    for (const event of ['SIGTERM', 'SIGINT', 'SIGHUP', 'disconnect'])
      process.once(event, () => resolve());
    // The channel may have closed before the listener was added.
    if (process.send && !process.connected) resolve();
  });
}

function readOptions() {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        port: { type: 'string', default: '0' },
        seed: { type: 'string' },
        books: { type: 'string' },
        'public-url': { type: 'string', default: publicUrlDefault },
      },
    });
    const [name] = positionals;
    const asked = name === 'all' ? names : names.filter((known) => known === name);
    const port = Number(values.port);
    const seed = Number(values.seed ?? randomInt(2 ** 31 - 1));
    const { protocol, href: publicUrl } = new URL(values['public-url']);
    const { books } = values;
    const isReachable = protocol === 'http:' || protocol === 'https:';
    const isPort = Number.isInteger(port) && port >= 0 && port < 65_530;
    if (!isReachable || !isPort || !Number.isInteger(seed)) return undefined;
    return asked.length > 0 && positionals.length === 1
      ? { asked, port, seed, publicUrl, books }
      : undefined;
  } catch {
    return undefined;
  }
}
