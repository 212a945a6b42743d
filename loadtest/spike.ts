import { compare } from './report/compare.ts';
import { writeReport } from './report/html.ts';
import { writeRecord } from './report/record-file.ts';
import { summaryOf } from './report/summary.ts';
import { openTerminal } from './report/terminal.ts';
import { readSpikeCommand, type SpikeOptions } from './spike/options.ts';
import { runSpike } from './spike/run.ts';
import { stoppedBySignal } from './spike/stopping.ts';
import { unwritable } from './spike/written-files.ts';
import { parameterTable } from './workload/parameters.ts';

/** Exit codes. */
const exitCodes = { clean: 0, broken: 1, misused: 2, invalid: 3, failed: 4, stopped: 130 } as const;

process.exitCode = await main(process.argv.slice(2));

async function main(args: string[]): Promise<number> {
  const command = readSpikeCommand(args);
  switch (command.kind) {
    case 'say':
      say(command.text);
      return exitCodes.clean;
    case 'refused':
      for (const problem of command.problems) printError(problem);
      printError('--help tells what is understood');
      return exitCodes.misused;
    case 'compare':
      return tellDifference(command.files);
    case 'run':
      return run(command.options);
  }
}

async function run(options: SpikeOptions): Promise<number> {
  const { scenario, parameters, scale, seed, json, report } = options;
  const problems = unwritable([report, ...(json ? [json] : [])]);
  for (const problem of problems) printError(problem);
  if (problems.length > 0) return exitCodes.misused;
  const terminal = openTerminal({ units: parameters.units });
  terminal.say(`${scenario.title}, scale ${scale}, seed ${seed}`);
  const stop = stoppedBySignal(() => terminal.say('still ending what this run started'));
  stop.addEventListener('abort', () => terminal.say('stopping: ending what this run started'));
  try {
    const record = await runSpike(options, { progress: terminal, stop });
    terminal.end();
    if (json) writeRecord(record, json);
    writeReport(record, report, assumptions());
    say(summaryOf(record, { report, ...(json ? { json } : {}) }));
    if (!record.verdict.clean) return exitCodes.broken;
    return record.pacing.valid ? exitCodes.clean : exitCodes.invalid;
  } catch (error) {
    terminal.end();
    if (stop.aborted) {
      printError(`stopped by ${stop.reason}: there is no result`);
      return exitCodes.stopped;
    }
    printError((error as Error).message);
    return exitCodes.failed;
  }
}

function assumptions(): Parameters<typeof writeReport>[2] {
  const entries = Object.entries(parameterTable);
  return Object.fromEntries(entries.map(([name, { unit, why }]) => [name, { unit, text: why }]));
}

function tellDifference([a, b]: [string, string]): number {
  try {
    say(compare(a, b));
    return exitCodes.clean;
  } catch (error) {
    printError((error as Error).message);
    return exitCodes.misused;
  }
}

function printError(text: string): void {
  process.stderr.write(`spike: ${text}\n`);
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
