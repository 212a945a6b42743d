import { once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import { text } from 'node:stream/consumers';
import type { Redis } from 'ioredis';
import { type Config, processEnvironment, readCommand } from '../src/config/config.ts';
import { readHolder } from '../src/embedded/lock.ts';
import { connectHot } from '../src/inventory/redis-connections.ts';

// What the commands audit, reconcile and merchant share.

/** Exit code of a command that was called wrongly or came to no result. */
export const exitUnknown = 2;

const redisTimeoutMs = 10_000;

/** A command ends without a result for a reason that the user can act on: the message, as it is. */
export class CommandError extends Error {}

/** Runs a command; an error is printed on standard error, and the exit code is then `exitUnknown`. */
export async function runCommand(name: string, work: () => Promise<number>): Promise<number> {
  try {
    return await work();
  } catch (error) {
    const text =
      error instanceof CommandError ? error.message : `${name} failed: ${reasonOf(error)}`;
    return complain(text, exitUnknown);
  }
}

/** Prints a line on standard error; returns the exit code. */
export function complain(text: string, code: number): number {
  process.stderr.write(`${text}\n`);
  return code;
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // Node's error for a refused connection to several addresses has no message of its own.
  if (error.message === '' && error instanceof AggregateError) return String(error.errors[0]);
  return error.message || error.name;
}

/**
 * Parses the arguments of a command.
 * @throws CommandError with the usage when they cannot be parsed, or `parse` returns undefined
 */
export function parseArguments<T>(usage: string, parse: () => T | undefined): T {
  try {
    const parsed = parse();
    if (parsed !== undefined) return parsed;
  } catch (error) {
    if (!isParseError(error)) throw error;
  }
  throw new CommandError(usage);
}

function isParseError(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return code.startsWith('ERR_PARSE_ARGS_');
}

/** Whether `--url` is absent or a URL. */
export function isUrlOrAbsent(url: string | undefined): boolean {
  return url === undefined || URL.canParse(url);
}

/**
 * The engine's settings, from the environment and `.env`.
 * @throws CommandError that names every wrong setting
 */
export function readConfig(): Config {
  const { env, problems } = processEnvironment();
  const command = readCommand([], env, problems);
  if (command.kind === 'refused') throw new CommandError(command.problems.join('\n'));
  if (command.kind !== 'run') throw new Error('bug: no flags were given');
  return command.config;
}

/**
 * The servers that a command reads by itself. Undefined when one of them is embedded, and so belongs
 * to the running engine, or when the user names an engine to ask.
 */
export function serversOf(
  { redis, ledger }: Config,
  url: string | undefined,
): { redisUrl: string; databaseUrl: string } | undefined {
  if (redis.kind !== 'url' || ledger.kind !== 'url' || url !== undefined) return undefined;
  return { redisUrl: redis.url, databaseUrl: ledger.url };
}

/**
 * A connection to Redis, once it is ready.
 * @throws Error with Redis' reason when it closes before
 */
export async function connectRedis(url: string): Promise<Redis> {
  const redis = connectHot(url, { timeoutMs: redisTimeoutMs });
  let last: Error | undefined;
  redis.on('error', (error) => {
    last = error;
  });
  try {
    await new Promise<void>((resolve, reject) => {
      redis.once('ready', resolve);
      redis.once('close', () => reject(last ?? new Error('Redis closed the connection')));
    });
    return redis;
  } catch (error) {
    redis.disconnect();
    throw error;
  }
}

/** The address of the engine to ask: `--url`, else what the data folder's lock says, else the settings'. */
export function engineAddress({ folder, host, port }: Config, url: string | undefined): string {
  const running = folder === undefined ? undefined : readHolder(folder.path)?.address;
  return url ?? running ?? `http://${host}:${port}`;
}

/** How long a command waits for an engine that compares books, ms: as long as its routes may take. */
export const comparingMsMax = 15 * 60_000;

/**
 * Sends a request to an engine and returns its JSON. `hint` says what to check for a refusal's status.
 * @throws CommandError when no engine answers or it refuses
 */
export async function requestJson<T>(
  address: string,
  path: string,
  { hint, ...init }: Sent & { hint(status: number): string },
): Promise<T> {
  // Without a name and a password, which a URL may have.
  const shown = URL.parse(address)?.origin ?? 'that URL';
  const { status, body } = await send(new URL(path, address), init).catch((cause: unknown) => {
    const message = `no engine answers at ${shown}; start it or name it with --url`;
    throw new CommandError(message, { cause });
  });
  if (status >= 200 && status < 300) return JSON.parse(body);
  throw new CommandError(`${shown} answers ${status} ${titleOf(body)}: ${hint(status)}`);
}

type Sent = {
  method?: string;
  headers: Record<string, string>;
  body?: string;
  signal?: AbortSignal;
};

/** Not by `fetch`, which gives up after five minutes without an answer. */
async function send(url: URL, { body, ...options }: Sent) {
  const { request } = url.protocol === 'https:' ? https : http;
  const sent = request(url, options);
  sent.end(body);
  const [response] = (await once(sent, 'response')) as [http.IncomingMessage];
  return { status: response.statusCode ?? 0, body: await text(response) };
}

/** The title of a problem document; '' when the body is none, as from a proxy. */
function titleOf(body: string): string {
  try {
    return JSON.parse(body).title ?? '';
  } catch {
    return '';
  }
}
