import { writeFileSync } from 'node:fs';
import { type BenchOptions, readBenchCommand } from './bench/options.ts';
import type { Part } from './bench/parts.ts';
import {
  document,
  environment,
  exitCodes,
  line,
  type Measured,
  verdict,
} from './bench/support/figures.ts';
import { startRedis } from './bench/support/redis.ts';

process.exitCode = await main(process.argv.slice(2));

async function main(args: string[]): Promise<number> {
  const command = readBenchCommand(args);
  switch (command.kind) {
    case 'say':
      say(command.text);
      return exitCodes.held;
    case 'refused':
      for (const problem of command.problems) process.stderr.write(`bench: ${problem}\n`);
      process.stderr.write('bench: --help tells what is understood\n');
      return exitCodes.misused;
    case 'run':
      return run(command.options);
  }
}

async function run({ rounds, json, parts }: BenchOptions): Promise<number> {
  const redis = await startRedis();
  const all: Measured[] = [];
  try {
    const where = environment(await redis.version());
    say(
      `node ${where.node}, redis ${where.redis}, ${where.cores} × ${where.cpu}; medians of ${rounds}`,
    );
    for (const [index, part] of parts.entries()) {
      const done = announce(part, `${index + 1}/${parts.length}`);
      const measured = await part.measure({ redis, rounds });
      done();
      for (const one of measured) say(line(one));
      all.push(...measured);
      await redis.empty();
    }
    if (json) writeFileSync(json, `${JSON.stringify(document(all, where), undefined, 2)}\n`);
    return verdict(all);
  } finally {
    await redis.stop();
  }
}

/** Prints progress; on a terminal only until the figures replace it. */
function announce({ name, what }: Part, place: string): () => void {
  const { stderr } = process;
  const text = `     ${place} ${name}: ${what}`;
  stderr.write(stderr.isTTY ? `${text} ...` : `${text}\n`);
  return () => {
    if (stderr.isTTY) stderr.write('\r\x1b[2K');
  };
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
