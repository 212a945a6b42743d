import type { Config } from '../config/config.ts';
import { type PaymentSettings, readPayments } from '../config/payments.ts';
import { settingsReader } from '../config/settings.ts';
import { required } from '../domain/required.ts';
import type { DataFolder } from '../embedded/folder.ts';
import { freePort } from '../embedded/free-port.ts';
import { type SimulatedProvider, startSimulators } from '../embedded/simulators.ts';
import type { Logger } from '../log.ts';
import type { Releasers } from './releasers.ts';
import type { Step } from './start-steps.ts';

/** The config with the simulated providers' settings, and the simulated providers. */
export type Simulated = { config: Config; simulators: SimulatedProvider[] };

/**
 * Starts the simulated payment providers of a demo and resolves with a config that uses them. Where
 * none are simulated, the config is returned unchanged.
 * @throws StartError when they do not start
 */
export async function simulateProviders(
  { config, folder, log }: { config: Config; folder: DataFolder | undefined; log: Logger },
  step: Step,
  releasers: Releasers,
): Promise<Simulated> {
  if (!config.simulators) return { config, simulators: [] };
  // The providers are told the port for notifications before the engine listens on it, so "any free
  // port" is chosen now.
  const port = config.port === 0 ? await freePort() : config.port;
  const publicUrl = `http://${reachable(config.host)}:${port}`;
  const children = startSimulators({
    publicUrl,
    books: required(folder, 'data folder for the simulated providers').simulators,
    log,
    compileCache: config.compileCache,
  });
  releasers.add('the simulated payment providers', children.stop);
  const simulators = await step('simulated payment providers serve', children.serving);
  const payments = readSimulated(simulators, publicUrl);
  return { config: { ...config, port, payments }, simulators };
}

function readSimulated(simulators: SimulatedProvider[], publicUrl: string): PaymentSettings {
  const env = Object.assign({}, ...simulators.map(({ settings }) => settings));
  const reader = settingsReader({ ...env, FLASHDROP_PUBLIC_URL: publicUrl });
  const payments = readPayments(reader);
  const problems = [...reader.problems, ...reader.unknown()];
  if (problems.length > 0) throw new Error(`bug: a simulator's settings: ${problems.join('; ')}`);
  return payments;
}

/** The address at which another program on this machine reaches a server that listens on `host`. */
function reachable(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  if (host === '::') return '[::1]';
  return host.includes(':') ? `[${host}]` : host;
}
