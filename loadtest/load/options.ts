import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { CommandError, isUrlOrAbsent } from '../../scripts/command.ts';
import { isDropId } from '../../src/domain/ids.ts';

export const usage = `npm run load -- --drop DROP [--connections 200] [--duration 10] [more flags]

  --drop DROP         the drop to buy from: an open one. Its units are sold.
  --connections N     connections, each with one Buy at a time (100)
  --duration SECONDS  (10)
  --sku SKU           the item (the drop's first)
  --buyers N          how many buyers there are: each presses once (2000 for each second)
  --tokens FILE       their tokens, as npm run tokens writes them, instead of minted ones
  --workers N         threads of autocannon; must divide the connections (by cores, at most 4)
  --url URL           the engine (default: the one that runs on the data folder)
  --merchant-key KEY  for the audit (default: FLASHDROP_API_KEY, or the demo merchant's)
  --yes               sell real units: needed where the engine is not in demo mode

A closed loop: a connection sends its next Buy when its last is answered, so a slow engine is sent
less and waits look short. For buyers who come on a schedule, use npm run spike.

Exits with 0 when every promise holds, 1 when one is broken, 2 when it could not run, 130 when it
was stopped.`;

export type LoadOptions = {
  drop: string;
  connections: number;
  seconds: number;
  sku: string | undefined;
  buyers: number;
  tokens: string | undefined;
  workers: number;
  url: string | undefined;
  merchantKey: string | undefined;
  yes: boolean;
};

const workersMax = 64;
const buyersASecond = 2_000;

/** @throws CommandError with a line for everything that is wrong */
export function readLoadOptions(args: string[]): LoadOptions {
  const problems: string[] = [];
  const { values, positionals } = parsed(args);
  const { drop, sku, tokens, url, 'merchant-key': merchantKey, yes } = values;
  const whole = (name: 'connections' | 'duration' | 'buyers' | 'workers', most: number) => {
    const value = Number(values[name]);
    if (!Number.isInteger(value) || value < 1 || value > most) {
      problems.push(`--${name} must be a whole number from 1 to ${most}`);
    }
    return value;
  };
  for (const text of positionals) problems.push(`"${text}" is not understood`);
  if (drop === undefined) problems.push('--drop DROP is missing: the drop to buy from');
  else if (!isDropId(drop)) problems.push(`--drop: "${drop}" is no id of a drop`);
  if (!isUrlOrAbsent(url)) problems.push('--url must be an address such as http://127.0.0.1:8080');
  const connections = whole('connections', 10_000);
  const seconds = whole('duration', 3_600);
  values.workers ??= String(workersFor(connections));
  values.buyers ??= String(Math.max(connections, seconds * buyersASecond));
  const workers = whole('workers', workersMax);
  const buyers = whole('buyers', 10_000_000);
  if (connections % workers !== 0) problems.push('--workers must divide --connections');
  if (buyers < connections) problems.push('--buyers must be at least as many as --connections');
  if (problems.length > 0 || drop === undefined) {
    throw new CommandError(`${problems.join('\n')}\n--help tells what is understood`);
  }
  return { drop, connections, seconds, sku, buyers, tokens, workers, url, merchantKey, yes };
}

function parsed(args: string[]) {
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: {
        drop: { type: 'string' },
        connections: { type: 'string', default: '100' },
        duration: { type: 'string', default: '10' },
        sku: { type: 'string' },
        buyers: { type: 'string' },
        tokens: { type: 'string' },
        workers: { type: 'string' },
        url: { type: 'string' },
        'merchant-key': { type: 'string' },
        yes: { type: 'boolean', default: false },
      },
    });
  } catch (error) {
    throw new CommandError(`${(error as Error).message}\n--help tells what is understood`);
  }
}

/** autocannon gives each worker as many connections, and leaves out what does not divide. */
function workersFor(connections: number): number {
  const most = Math.min(4, availableParallelism());
  return [4, 3, 2, 1].find((n) => n <= most && connections % n === 0) ?? 1;
}
