import { writeFileSync } from 'node:fs';
import { describe } from './auditor/auditor.ts';
import { compareRecords, readRecord } from './report/compare.ts';
import { writeReport } from './report/html.ts';
import { summaryOf } from './report/summary.ts';
import { openTerminal } from './report/terminal.ts';
import { conduct } from './spike/conduct.ts';
import { readSpikeCommand, type SpikeOptions } from './spike/options.ts';

/** How a run ended, for shells. */
const exitCodes = { clean: 0, broken: 1, misused: 2, invalid: 3, failed: 4 } as const;

process.exitCode = await main(process.argv.slice(2));

async function main(args: string[]): Promise<number> {
  const command = readSpikeCommand(args);
  switch (command.kind) {
    case 'say':
      say(command.text);
      return exitCodes.clean;
    case 'refused':
      for (const problem of command.problems) process.stderr.write(`spike: ${problem}\n`);
      process.stderr.write('spike: --help tells what is understood\n');
      return exitCodes.misused;
    case 'compare':
      return compare(command.files);
    case 'run':
      return run(command.options);
  }
}

async function run(options: SpikeOptions): Promise<number> {
  const terminal = openTerminal({ stream: process.stdout, units: options.parameters.units });
  terminal.phase(`${options.scenario.title}, scale ${options.scale}, seed ${options.seed}`);
  try {
    const record = await conduct(options, terminal);
    terminal.close();
    if (options.json) writeFileSync(options.json, `${JSON.stringify(record, undefined, 1)}\n`);
    writeReport(record, options.report);
    for (const line of [...summaryOf(record), ...describe(record.verdict)]) say(line);
    say(`report: ${options.report}${options.json ? `, record: ${options.json}` : ''}`);
    if (!record.verdict.clean) return exitCodes.broken;
    return record.pacing.valid ? exitCodes.clean : exitCodes.invalid;
  } catch (error) {
    terminal.close();
    process.stderr.write(`spike: ${(error as Error).message}\n`);
    return exitCodes.failed;
  }
}

function compare(files: [string, string]): number {
  try {
    const [a, b] = files.map(readRecord) as [
      ReturnType<typeof readRecord>,
      ReturnType<typeof readRecord>,
    ];
    for (const line of compareRecords(a, b)) say(line);
    return exitCodes.clean;
  } catch (error) {
    process.stderr.write(`spike: ${(error as Error).message}\n`);
    return exitCodes.misused;
  }
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
