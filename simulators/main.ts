import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import type { Protocol, ProviderName } from './protocol.ts';
import { type ServedSimulator, serveSimulator } from './server.ts';

const usage = `node simulators/main.ts PROVIDER|all [--port N] [--seed N]
  Serves stripe, alipay or wechat_pay on loopback, or all of them on ports that follow each other,
  and prints a line of JSON for each: {provider, url, seed, settings}. The settings are environment
  variables with which an engine talks to it. Started with an IPC channel it sends the same as
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
  const { asked, port, seed } = options;
  const served: ServedSimulator[] = [];
  for (const [nth, provider] of asked.entries()) {
    const simulator = await serveSimulator(await protocols[provider](), {
      port: port === 0 ? 0 : port + nth,
      seed,
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
    for (const event of ['SIGTERM', 'SIGINT', 'disconnect']) process.once(event, () => resolve());
    // The channel may have closed before the listener was added.
    if (process.send && !process.connected) resolve();
  });
}

function readOptions() {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: { port: { type: 'string', default: '0' }, seed: { type: 'string' } },
    });
    const [name] = positionals;
    const asked = name === 'all' ? names : names.filter((known) => known === name);
    const port = Number(values.port);
    const seed = Number(values.seed ?? randomInt(2 ** 31 - 1));
    const good = Number.isInteger(port) && port >= 0 && port < 65_530 && Number.isInteger(seed);
    return good && asked.length > 0 && positionals.length === 1 ? { asked, port, seed } : undefined;
  } catch {
    return undefined;
  }
}
