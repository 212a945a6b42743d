import { readFileSync } from 'node:fs';
import { type Config, processEnvironment, readCommand } from './config/config.ts';
import { type DataFolder, openFolder } from './embedded/folder.ts';
import { banner } from './engine/banner.ts';
import { createLog } from './log.ts';
import { assertPortFree, isPortTaken } from './processes/port.ts';
import { StartError } from './start-error.ts';

/** How a run ended, for shells and supervisors. */
const exitCodes = { stopped: 0, failed: 1, misused: 2, impatient: 130 } as const;

/** npm hands Ctrl-C on to a process that had it from the terminal already: one press, two signals. */
const samePressMs = 500;

const leftOpenMsMax = 2_000;

process.exitCode = await main(process.argv.slice(2));
// Whatever was left open must not keep a stopped engine alive; with nothing open this never fires.
setTimeout(() => process.exit(), leftOpenMsMax).unref();

async function main(args: string[]): Promise<number> {
  const command = readCommand(args, processEnvironment());
  switch (command.kind) {
    case 'help':
      process.stdout.write(`${command.text}\n`);
      return exitCodes.stopped;
    case 'version':
      process.stdout.write(`${version()}\n`);
      return exitCodes.stopped;
    case 'refused':
      for (const problem of command.problems) complain(problem);
      return exitCodes.misused;
    case 'run':
      return run(command.config);
  }
}

/** Folder, port, engine: opened in this order, closed in the reverse, also when a start fails. */
async function run(config: Config): Promise<number> {
  const log = createLog(config.logLevel);
  let folder: DataFolder | undefined;
  try {
    // The folder comes first: a second instance is told of the first, not just of a busy port.
    folder = config.folder && (await openFolder(config.folder));
    // Found out before Redis and the ledger start, which takes a second or two.
    await assertPortFree(config);
    // Loaded only now, so that a refusal does not wait for the whole engine to load.
    const { startEngine } = await import('./engine/engine.ts');
    const signalled = firstSignal();
    const engine = await startEngine({ config, folder, log });
    folder?.announce(engine.address);
    process.stdout.write(banner(engine));
    log.info({ signal: await signalled }, 'stopping');
    await engine.stop();
    return exitCodes.stopped;
  } catch (error) {
    if (!(error instanceof StartError) && !isPortTaken(error)) throw error;
    complain(error instanceof StartError ? error.message : portTaken(config));
    return exitCodes.failed;
  } finally {
    folder?.close();
  }
}

/** The first SIGINT or SIGTERM; a second one, pressed by someone tired of waiting, ends at once. */
function firstSignal(): Promise<string> {
  return new Promise((resolve) => {
    let first: number | undefined;
    const onSignal = (signal: string) => {
      if (first === undefined) {
        first = performance.now();
        resolve(signal);
      } else if (performance.now() - first > samePressMs) {
        process.exit(exitCodes.impatient);
      }
    };
    process.on('SIGINT', onSignal);
    process.on('SIGTERM', onSignal);
  });
}

function portTaken({ host, port }: Config): string {
  return `port ${port} on ${host} is in use: choose another with --port PORT, or --port 0 for any`;
}

function complain(line: string): void {
  process.stderr.write(`flashdrop: ${line}\n`);
}

function version(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
