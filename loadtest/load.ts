import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CommandError, engineAddress, readConfig, runCommand } from '../scripts/command.ts';
import { readSecrets } from '../src/embedded/folder.ts';
import { type Fired, fire } from './load/fire.ts';
import { type Judged, judgeLoad } from './load/judge.ts';
import { type LoadOptions, readLoadOptions, usage } from './load/options.ts';
import { assertCredentials, findTarget, type Target } from './load/target.ts';
import { mintTokens, readTokens, writeTokens } from './load/tokens.ts';
import { openMerchant } from './merchant.ts';
import { table } from './report/summary.ts';
import { count, share } from './report/words.ts';
import { stoppedBySignal } from './spike/stopping.ts';

// Load on a running engine: autocannon sends one Buy for each of many buyers, then the sale is audited.

const exitCodes = { clean: 0, broken: 1, stopped: 130 } as const;

process.exitCode = await runCommand('the load', () => main(process.argv.slice(2)));

async function main(args: string[]): Promise<number> {
  if (args.includes('--help')) return say(usage);
  const options = readLoadOptions(args);
  const config = readConfig();
  const merchantKey =
    options.merchantKey ||
    process.env['FLASHDROP_API_KEY'] ||
    (config.folder && readSecrets(config.folder.path)?.merchantKey);
  if (!merchantKey) {
    throw new CommandError(
      "the audit needs an API key of the drop's merchant: set FLASHDROP_API_KEY or --merchant-key",
    );
  }
  const target = await findTarget(engineAddress(config, options.url), options);
  if (!target.demo) assertMeant(target, options);
  // The second signal ends the process at once, and what it waits for with it.
  const stop = stoppedBySignal(() => process.exit(exitCodes.stopped));
  const folder = mkdtempSync(join(tmpdir(), 'flashdrop-load-'));
  try {
    return await run({ target, options, merchantKey, folder, stop });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** An engine outside demo mode sells real units, and has no tokens to give. */
function assertMeant({ address, drop }: Target, { tokens, yes }: LoadOptions): void {
  if (tokens === undefined) {
    throw new CommandError(
      `the engine at ${address} is not in demo mode and mints no tokens: name a file with --tokens (npm run tokens -- --sign writes one)`,
    );
  }
  if (!yes) {
    throw new CommandError(
      `this load sells real units of ${drop} at ${address}: add --yes if that is what you want`,
    );
  }
}

async function run(load: {
  target: Target;
  options: LoadOptions;
  merchantKey: string;
  folder: string;
  stop: AbortSignal;
}): Promise<number> {
  const { target, options, merchantKey, folder, stop } = load;
  const { connections, workers, seconds } = options;
  const tokens = options.tokens ?? join(folder, 'tokens.ndjson');
  if (options.tokens === undefined) {
    say(`minting ${count(options.buyers)} buyers with money in their wallets`);
    const prefix = `load-${Date.now().toString(36)}-`;
    await writeTokens(tokens, mintTokens(target.address, { count: options.buyers, prefix, stop }));
    if (stop.aborted) return say('stopped: nothing was bought', exitCodes.stopped);
  }
  const buyers = readTokens(tokens);
  if (buyers.length < connections) {
    throw new CommandError(`${tokens} has ${buyers.length} buyers for ${connections} connections`);
  }
  await assertCredentials(target, { token: buyers[0]?.token ?? '', merchantKey });
  say(`buying ${target.sku} of "${target.title}" (${target.drop}) at ${target.price}, by ${target.method}
${count(connections)} connections in ${count(workers)} threads for ${count(seconds)} s, ${count(buyers.length)} buyers
closed loop: each connection sends its next Buy when its last is answered, so a slow engine is sent less`);
  const names = buyers.map(({ buyer }) => buyer);
  const fired = await fire({
    ...{ target, connections, workers, seconds, tokens, folder, stop },
    buyers: names,
  });
  say(fired.table ?? '\nstopped: autocannon has no table then; this is what was answered');
  say(answersOf(fired));
  if (fired.heard.length + fired.unanswered.length >= names.length - workers) {
    say('\nall buyers have pressed: more --buyers make it longer');
  }
  const merchant = openMerchant({ address: target.address, merchantKey });
  const judged = await judgeLoad(merchant, { drop: target.drop, fired, stop });
  say(verdictOf(judged));
  if (judged.breaches.length > 0) return exitCodes.broken;
  return stop.aborted ? exitCodes.stopped : exitCodes.clean;
}

function answersOf({ heard, unanswered }: Fired): string {
  const counts = new Map<string, number>();
  for (const { status, code } of heard) {
    const name = status === 202 ? 'accepted' : code || `http_${status}`;
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  if (unanswered.length > 0) counts.set('no answer, or under way at the end', unanswered.length);
  const all = heard.length + unanswered.length;
  const rows = [...counts].sort(([, a], [, b]) => b - a);
  return table([
    ['answer', 'Buys', 'share'],
    ...rows.map(([name, n]) => [name, count(n), share(n, all)]),
  ]).join('\n');
}

function verdictOf({ checks, breaches, settled }: Judged): string {
  const lines = checks.map(({ ok, title, figures }) => {
    return `${ok ? 'ok  ' : 'FAIL'} ${title} (${figures})`;
  });
  const end =
    breaches.length > 0
      ? 'BROKEN: see above'
      : `every promise holds${settled ? '' : ', as far as can be told while orders are in motion'}`;
  return ['', ...lines, ...breaches.map((text) => `BREACH ${text}`), end].join('\n');
}

function say(text: string, code: number = exitCodes.clean): number {
  process.stdout.write(`${text}\n`);
  return code;
}
