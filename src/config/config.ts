import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { readEnvFile } from './env-file.mjs';
import { isLoopback, refuseExposure } from './exposure.ts';
import { readFlags } from './flags.ts';
import { helpText } from './help.mjs';
import { type HttpSettings, readHttp } from './http.ts';
import { offeredOf, type PaymentSettings, readPayments } from './payments.ts';
import {
  type Environment,
  matching,
  oneOf,
  onOff,
  type SettingsReader,
  secret,
  settingsReader,
  someOf,
  url,
  wholeNumber,
} from './settings.ts';
import { readStoreAddress } from './tls.ts';
import { readTokenRules, type TokenRules } from './token-rules.ts';

export type Role = 'api' | 'worker' | 'all';

/** A Redis setting that can lose orders, which an operator may allow by name. */
export type UnsafeRedis = 'eviction' | 'no-aof' | 'everysec';

export type Config = {
  role: Role;
  host: string;
  port: number;
  /** Where the operators' routes listen; port 0 for any free one. */
  ops: { host: string; port: number };
  /** Processes that serve http on the port; with 1 the main process serves it. */
  apiProcesses: number;
  /** Prefix of every key in Redis, so that engines may share a server. */
  namespace: string;
  demo: boolean;
  logLevel: string;
  /** How long a stopping process still serves, with /readyz at 503, so that balancers drop it; ms. */
  quietMs: number;
  /** Interval at which a worker reconciles the books; 0 for never. */
  reconcileMinutes: number;
  /** Authenticates the operator; the data folder's key is used when undefined. */
  operatorKey: string | undefined;
  redis: { kind: 'embedded' } | { kind: 'url'; url: string };
  ledger: { kind: 'embedded' } | { kind: 'url'; url: string };
  /** Folder of the embedded Redis, the embedded ledger and the secrets; undefined when both are servers. */
  folder: { path: string; fresh: boolean } | undefined;
  /** Environment for finding and starting a redis-server. */
  redisSearch: Environment;
  /** Folder of Node's compile cache, for child processes that do not inherit the environment. */
  compileCache: string | undefined;
  tokens: TokenRules;
  payments: PaymentSettings;
  http: HttpSettings;
  /** Whether payment providers are simulated, for a demo. */
  simulators: boolean;
  allowUnsafeRedis: ReadonlySet<UnsafeRedis>;
};

export type Command =
  | { kind: 'run'; config: Config }
  | { kind: 'help'; text: string }
  | { kind: 'version' }
  | { kind: 'refused'; problems: string[] };

/**
 * The environment, with `.env` for what it does not set. Only this function reads either. A `.env` with
 * problems is not used at all: the engine would start with half of it.
 */
export function processEnvironment(): { env: Environment; problems: string[] } {
  const { values, problems } = readEnvFile('.env');
  if (problems.length === 0) {
    for (const [name, value] of Object.entries(values)) process.env[name] ??= value;
  }
  return { env: process.env, problems };
}

/**
 * Reads the command line and the environment; reports every problem, not the first alone.
 * @param fileProblems what is wrong with the file that a part of `env` should have come from
 */
export function readCommand(
  args: string[],
  env: Environment,
  fileProblems: readonly string[] = [],
): Command {
  const flags = readFlags(args);
  if (flags.help) return { kind: 'help', text: helpText };
  if (flags.version) return { kind: 'version' };
  if (fileProblems.length > 0) return { kind: 'refused', problems: [...fileProblems] };

  const settings = settingsReader({ ...env, ...flags.settings });
  const config = readConfig(settings, { env, fresh: flags.fresh });
  // Of settings, empty ones are told alone: what else seems wrong may follow from their defaults.
  const ofSettings =
    settings.empty.length > 0 ? settings.empty : [...settings.problems, ...settings.unknown()];
  const problems = [...ofSettings, ...flags.problems];
  return problems.length > 0 ? { kind: 'refused', problems } : { kind: 'run', config };
}

/** Every setting; a wrong one adds to the reader's problems, and its default stands in for it. */
function readConfig(
  settings: SettingsReader,
  { env, fresh }: { env: Environment; fresh: boolean },
): Config {
  const { read, problems } = settings;
  const role = read('FLASHDROP_ROLE', oneOf('api', 'worker', 'all')) ?? 'all';
  const { redis, ledger, embedded, needsFolder } = readStores(settings, role);
  const host = read('FLASHDROP_HOST', matching('a host name or an address', hostName)) ?? loopback;
  const demoAsked = read('FLASHDROP_DEMO', onOff);
  const demo = demoAsked ?? embedded;
  const path = read('FLASHDROP_DATA', matching('the path of a folder', /^[^\0]+$/)) ?? './data';

  refuseUnsharedRole(settings, { role, needsFolder });
  if (demoAsked === undefined) refuseReachableDemo(settings, { demo, host });
  const apiProcesses = read('FLASHDROP_API_PROCESSES', wholeNumber(1, 64)) ?? apiProcessesDefault();
  if (fresh && !embedded) {
    problems.push(
      '--fresh empties the embedded Redis and ledger; unset REDIS_URL and DATABASE_URL',
    );
  }
  const payments = readPayments(settings);
  const config: Config = {
    role,
    host,
    port: read('FLASHDROP_PORT', wholeNumber(0, 65_535)) ?? 8080,
    ops: {
      host: read('FLASHDROP_OPS_HOST', matching('a host name or an address', hostName)) ?? loopback,
      port: read('FLASHDROP_OPS_PORT', wholeNumber(0, 65_535)) ?? 0,
    },
    apiProcesses: role === 'worker' ? 1 : apiProcesses,
    namespace:
      read('FLASHDROP_NAMESPACE', matching('1 to 32 of a-z, 0-9, - and _', /^[a-z0-9_-]{1,32}$/)) ??
      'fd',
    demo,
    logLevel:
      read('FLASHDROP_LOG_LEVEL', oneOf('trace', 'debug', 'info', 'warn', 'error', 'silent')) ??
      (demo ? 'warn' : 'info'),
    quietMs: read('FLASHDROP_QUIET_MS', wholeNumber(0, 60_000)) ?? 0,
    reconcileMinutes: read('FLASHDROP_RECONCILE_MINUTES', wholeNumber(0, 1_440)) ?? 10,
    operatorKey: read('FLASHDROP_OPERATOR_KEY', secret),
    redis,
    ledger,
    folder: needsFolder ? { path: resolve(path), fresh } : undefined,
    redisSearch: searchOf(env),
    compileCache: env['NODE_COMPILE_CACHE'] || undefined,
    tokens: readTokenRules(settings, { demo, hasFolder: needsFolder }),
    payments,
    http: readHttp(settings),
    simulators: readSimulators(settings, { role, demo, embedded, payments }),
    allowUnsafeRedis:
      read('FLASHDROP_ALLOW_UNSAFE_REDIS', someOf('eviction', 'no-aof', 'everysec')) ?? new Set(),
  };
  refuseExposure(settings, config);
  read('FLASHDROP_REDIS_SERVER', matching('the path of a redis-server', /^[^\0]+$/));
  return config;
}

/** Which servers the engine uses, and which it brings along: then it needs a data folder. */
function readStores(
  { read, isGiven, problems }: SettingsReader,
  role: Role,
): Pick<Config, 'redis' | 'ledger'> & { embedded: boolean; needsFolder: boolean } {
  const absence = { removal: 'to use the embedded server', isNeeded: role !== 'all' };
  const redisUrl = read('REDIS_URL', { ...url('redis', 'rediss'), ...absence });
  const ledgerUrl = read('DATABASE_URL', { ...url('postgres', 'postgresql'), ...absence });
  for (const [name, given] of Object.entries({ REDIS_URL: redisUrl, DATABASE_URL: ledgerUrl })) {
    const problem = given && tlsProblem(given);
    if (problem) problems.push(`${name} has ${problem}`);
  }
  // A URL that is wrong is reported as wrong, and must not count as missing.
  const redisGiven = isGiven('REDIS_URL');
  const ledgerGiven = isGiven('DATABASE_URL');
  return {
    redis: redisUrl ? { kind: 'url', url: redisUrl } : { kind: 'embedded' },
    ledger: ledgerUrl ? { kind: 'url', url: ledgerUrl } : { kind: 'embedded' },
    embedded: !redisGiven && !ledgerGiven,
    needsFolder: !redisGiven || !ledgerGiven,
  };
}

function tlsProblem(url: string): string | undefined {
  try {
    readStoreAddress(url);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function refuseUnsharedRole(
  { problems }: SettingsReader,
  { role, needsFolder }: Pick<Config, 'role'> & { needsFolder: boolean },
): void {
  if (role === 'all' || !needsFolder) return;
  problems.push(
    `FLASHDROP_ROLE is "${role}": a role of its own shares Redis and the ledger with others, ` +
      'so REDIS_URL and DATABASE_URL must both be set',
  );
}

/** Demo mode that was not asked for is for this machine alone. */
function refuseReachableDemo(
  { problems }: SettingsReader,
  { demo, host }: Pick<Config, 'demo' | 'host'>,
): void {
  if (!demo || isLoopback(host)) return;
  problems.push(
    `FLASHDROP_HOST is "${host}": demo mode issues tokens to anyone and other machines reach ` +
      'this address; set FLASHDROP_DEMO=on to allow it, or FLASHDROP_DEMO=off',
  );
}

/** Simulated providers take no money, so they are refused beside real ones and outside demo mode. */
function readSimulators(
  { read, problems }: SettingsReader,
  {
    role,
    demo,
    embedded,
    payments,
  }: Pick<Config, 'role' | 'demo' | 'payments'> & { embedded: boolean },
): boolean {
  const asked = read('FLASHDROP_SIMULATORS', onOff);
  const configured = offeredOf(payments);
  if (asked && !demo) {
    problems.push(
      'FLASHDROP_SIMULATORS is on outside demo mode, where buyers would pay nothing: ' +
        'configure a payment provider, or set FLASHDROP_DEMO=on',
    );
  }
  if (asked && configured.length > 0) {
    problems.push(
      `FLASHDROP_SIMULATORS is on and ${configured.join(', ')} is configured: ` +
        'set FLASHDROP_SIMULATORS=off, or unset the settings of the provider',
    );
  }
  if (asked && role !== 'all') {
    problems.push(
      `FLASHDROP_SIMULATORS is on and FLASHDROP_ROLE is "${role}": only the process that ` +
        'starts simulated providers can use them, so its role must be all',
    );
  }
  return asked ?? (demo && embedded && configured.length === 0);
}

/** The variables that finding and running redis-server or docker needs, without any secret. */
function searchOf(env: Environment): Environment {
  const wanted = /^(PATH|HOME|XDG_RUNTIME_DIR|DOCKER_[A-Z_]+|FLASHDROP_REDIS_SERVER)$/;
  return Object.fromEntries(Object.entries(env).filter(([name]) => wanted.test(name)));
}

/** One for each core where the system spreads a port's connections over processes, else 1. */
function apiProcessesDefault(): number {
  return process.platform === 'linux' ? Math.min(availableParallelism(), 64) : 1;
}

const loopback = '127.0.0.1';
const hostName = /^[A-Za-z0-9._:-]{1,253}$/;
