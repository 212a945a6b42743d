import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { request } from 'undici';
import { CommandError } from '../../scripts/command.ts';

/** One line of a file of tokens. */
export type BuyerToken = { buyer: string; token: string };

const atOnce = 1_000;
const answerMsMax = 120_000;

/**
 * Tokens of new buyers with money in their wallets, from an engine in demo mode. Another prefix gives
 * other buyers; `stop` ends it between two requests.
 * @throws CommandError when the engine mints none
 */
export async function* mintTokens(
  address: string,
  { count, prefix, stop }: { count: number; prefix: string; stop?: AbortSignal | undefined },
): AsyncGenerator<BuyerToken> {
  for (let from = 0; from < count && !stop?.aborted; from += atOnce) {
    const { statusCode, body } = await request(`${address}/demo/crowds`, {
      method: 'POST',
      headersTimeout: answerMsMax,
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        prefix: `${prefix}${from / atOnce}-`,
        count: Math.min(atOnce, count - from),
      }),
    }).catch((error: Error) => {
      throw new CommandError(`no engine answers at ${address}: ${error.message}`);
    });
    const text = await body.text();
    if (statusCode === 404) {
      throw new CommandError(
        `the engine at ${address} is not in demo mode and mints no tokens: sign them with --sign, or take those of your identity service`,
      );
    }
    if (statusCode !== 201) {
      throw new CommandError(`the engine at ${address} mints no tokens: ${statusCode} ${text}`);
    }
    const { tokens } = JSON.parse(text) as { tokens: { sub: string; token: string }[] };
    for (const { sub, token } of tokens) yield { buyer: sub, token };
  }
}

/** Writes a line for each token; resolves with how many there were. */
export async function writeTokens(
  file: string,
  tokens: AsyncIterable<BuyerToken> | Iterable<BuyerToken>,
): Promise<number> {
  const descriptor = openSync(file, 'w', 0o600);
  let count = 0;
  try {
    for await (const one of tokens) {
      writeSync(descriptor, `${JSON.stringify(one)}\n`);
      count += 1;
    }
  } finally {
    closeSync(descriptor);
  }
  return count;
}

/**
 * Reads a file of tokens.
 * @throws CommandError that names the first line that is none, or a buyer that is there twice
 */
export function readTokens(file: string): BuyerToken[] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new CommandError(`${file} cannot be read: ${(error as Error).message}`);
  }
  const buyers = new Set<string>();
  const tokens = text.split('\n').flatMap((line, n) => {
    if (line.trim() === '') return [];
    const one = tokenIn(line);
    if (!one) {
      throw new CommandError(`${file}, line ${n + 1}: not {"buyer": "…", "token": "…"}`);
    }
    if (buyers.has(one.buyer)) {
      throw new CommandError(`${file}, line ${n + 1}: "${one.buyer}" is there twice`);
    }
    buyers.add(one.buyer);
    return [one];
  });
  if (tokens.length === 0) {
    throw new CommandError(`${file} has no tokens: npm run tokens -- --file ${file} writes some`);
  }
  return tokens;
}

function tokenIn(line: string): BuyerToken | undefined {
  try {
    const { buyer, token } = JSON.parse(line) as Partial<BuyerToken>;
    const isOne = typeof buyer === 'string' && typeof token === 'string' && /^[\w.-]+$/.test(token);
    return isOne ? { buyer, token } : undefined;
  } catch {
    return undefined;
  }
}
