import { readFileSync } from 'node:fs';
import { type Config, processEnvironment, readCommand } from './config/config.ts';
import { type DataFolder, openFolder } from './embedded/folder.ts';
import { banner, stepLine, waitLine } from './engine/banner.ts';
import { createLog } from './log.ts';
import { keepCompiledCode } from './processes/compiled-code.ts';
import { assertPortFree, isPortTaken } from './processes/port.ts';
import { StartError } from './start-error.ts';

// A terminal that has closed takes no more output: that must not keep the engine from stopping in order.
for (const output of [process.stdout, process.stderr]) output.on('error', () => {});

/** Exit codes, for shells and supervisors. */
const exitCodes = { stopped: 0, failed: 1, misused: 2, impatient: 130 } as const;

/** npm passes Ctrl-C on to a process that has it from the terminal already: one press, two signals. */
const samePressMs = 500;

/** How often an engine that npm started checks that npm is still there. */
const parentCheckMs = 1_000;

const exitMsMax = 2_000;

process.exitCode = await main(process.argv.slice(2));
// A handle that was left open must not keep a stopped engine alive; without one this never fires.
setTimeout(() => process.exit(), exitMsMax).unref();

async function main(args: string[]): Promise<number> {
  const { env, problems } = processEnvironment();
  const command = readCommand(args, env, problems);
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
      return run(command.config, { byNpm: env['npm_lifecycle_event'] !== undefined });
  }
}

/** Folder, port, engine: opened in this order, closed in the reverse, also when a start fails. */
async function run(config: Config, { byNpm }: { byNpm: boolean }): Promise<number> {
  const log = createLog(config.logLevel);
  let folder: DataFolder | undefined;
  let stopSignal: string | undefined;
  try {
    // The folder comes first: its lock names the instance that is running, a port in use does not.
    folder = config.folder && (await openFolder(config.folder));
    // Checked again when http listens; here a port in use is refused before anything starts.
    await assertPortFree(config);
    const stopped = waitForStopSignal(byNpm).then((signal) => {
      stopSignal = signal;
    });
    // Loaded only now, so that a refusal does not wait for the code of the engine.
    const { startEngine } = await import('./engine/engine.ts');
    const onStep = (what: string, ms: number) => process.stdout.write(stepLine(what, ms));
    const onWait = (text: string) => process.stdout.write(waitLine(text));
    const engine = await startEngine({ config, folder, log, onStep, onWait });
    folder?.announce(engine.address);
    process.stdout.write(banner({ ...engine, startMs: performance.now() }));
    keepCompiledCode();
    await stopped;
    log.info({ signal: stopSignal }, 'stopping');
    await engine.stop();
    return exitCodes.stopped;
  } catch (error) {
    if (stopSignal !== undefined) {
      // Ctrl-C reaches the whole process group: during a start it ends child processes that do not
      // handle it yet, and with them the start.
      log.info({ signal: stopSignal, err: error }, 'stopped while starting');
      return exitCodes.stopped;
    }
    if (!(error instanceof StartError) && !isPortTaken(error)) throw error;
    complain(error instanceof StartError ? error.message : portTaken(config));
    return exitCodes.failed;
  } finally {
    folder?.close();
  }
}

/**
 * Resolves with the first SIGINT, SIGTERM or SIGHUP (the terminal has closed), which stops the engine in
 * good order. A second signal ends the process at once. npm ends at a SIGHUP of its own without passing
 * it on, so with `byNpm` the end of npm counts as one.
 */
function waitForStopSignal(byNpm: boolean): Promise<string> {
  return new Promise((resolve) => {
    let firstAt: number | undefined;
    const onSignal = (signal: string) => {
      if (firstAt === undefined) {
        firstAt = performance.now();
        resolve(signal);
      } else if (performance.now() - firstAt > samePressMs) {
        process.exit(exitCodes.impatient);
      }
    };
    process.on('SIGINT', onSignal);
    process.on('SIGTERM', onSignal);
    process.on('SIGHUP', onSignal);
    if (!byNpm) return;
    const npm = process.ppid;
    const watching = setInterval(() => {
      if (process.ppid === npm) return;
      clearInterval(watching);
      onSignal('SIGHUP');
    }, parentCheckMs).unref();
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
  return String(JSON.parse(text).version);
}
