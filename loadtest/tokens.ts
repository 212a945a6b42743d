import { parseArgs } from 'node:util';
import {
  CommandError,
  engineAddress,
  isUrlOrAbsent,
  parseArguments,
  readConfig,
  runCommand,
} from '../scripts/command.ts';
import type { Config } from '../src/config/config.ts';
import { openSigner } from '../src/http/auth/buyers.ts';
import { type BuyerToken, mintTokens, writeTokens } from './load/tokens.ts';
import { unwritable } from './spike/written-files.ts';

const usage = `npm run tokens -- --file FILE [--count N] [--prefix NAME] [--url URL | --sign]

  --file FILE    where to: a line of JSON for each, {"buyer": "…", "token": "…"}
  --count N      how many buyers (10000)
  --prefix NAME  how their names begin; another one gives other buyers (load-)
  --url URL      the engine in demo mode to ask (default: the one that runs on the data folder);
                 each buyer gets money in the wallet
  --sign         ask no engine: sign with FLASHDROP_JWT_SECRET, as the identity service would;
                 these buyers have no money

Tokens are valid for 24 hours. Whoever has the file can buy as these buyers.
Exits with 0 when the file is written, 2 when it is not.`;

const countMax = 1_000_000;
const lifetimeMs = 24 * 3_600_000;

async function main(args: string[]): Promise<number> {
  const { file, count, prefix, url, sign } = readArgs(args);
  const [problem] = unwritable([file]);
  if (problem) throw new CommandError(problem);
  const config = readConfig();
  const tokens = sign
    ? signTokens(config, { count, prefix })
    : mintTokens(engineAddress(config, url), { count, prefix });
  const written = await writeTokens(file, tokens);
  process.stdout.write(`${written} tokens in ${file}, valid for 24 hours\n`);
  return 0;
}

function* signTokens(
  { tokens: rules }: Config,
  { count, prefix }: { count: number; prefix: string },
): Generator<BuyerToken> {
  if (rules.kind !== 'secret') {
    throw new CommandError(
      'set FLASHDROP_JWT_SECRET (and FLASHDROP_JWT_ISSUER) as the engine has them: --sign signs with it',
    );
  }
  const sign = openSigner(rules);
  for (let n = 0; n < count; n += 1) {
    const buyer = `${prefix}${n}`;
    yield { buyer, token: sign(buyer, lifetimeMs) };
  }
}

function readArgs(args: string[]) {
  return parseArguments(usage, () => {
    const { values, positionals } = parseArgs({
      args,
      allowPositionals: true,
      options: {
        file: { type: 'string' },
        count: { type: 'string', default: '10000' },
        prefix: { type: 'string', default: 'load-' },
        url: { type: 'string' },
        sign: { type: 'boolean', default: false },
      },
    });
    const { file, prefix, url, sign } = values;
    const count = Number(values.count);
    const wrong = !Number.isInteger(count) || count < 1 || count > countMax;
    if (!file || wrong || positionals.length > 0 || !isUrlOrAbsent(url)) return undefined;
    if ((sign && url !== undefined) || !/^[\w.-]{1,50}$/.test(prefix)) return undefined;
    return { file, count, prefix, url, sign };
  });
}

process.exitCode = await runCommand('making tokens', () => main(process.argv.slice(2)));
