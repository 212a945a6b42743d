import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import pg from 'pg';
import { freePort } from '../src/embedded/free-port.ts';

/** A PostgreSQL server for a test or the bench. */
export type PostgresServer = {
  /** `postgres://…` on loopback, as a superuser. */
  url: string;
  /** Of its socket. */
  folder: string;
  pid(): number;
  /** Ends sessions, then the server; its data stays. */
  halt(): Promise<void>;
  /** Starts it again on the same data and port. */
  resume(): Promise<void>;
  /** Ends it and removes its folder. */
  stop(): Promise<void>;
};

type Found = { folder: string; owner?: { uid: number; gid: number } };

const startMsMax = 20_000;

/** The reason why no PostgreSQL server can be started here; undefined when one can. */
export function postgresMissing(): string | undefined {
  const found = find();
  return typeof found === 'string' ? found : undefined;
}

/**
 * Starts a private PostgreSQL on a free port, in a temporary folder: with the server's own defaults,
 * but for those of its settings that are given.
 */
export async function startPostgres(
  settings: Record<string, string> = {},
): Promise<PostgresServer> {
  const found = find();
  if (typeof found === 'string') throw new Error(`no PostgreSQL: ${found}`);
  const folder = mkdtempSync(join(tmpdir(), 'flashdrop-postgres-'));
  chmodSync(folder, 0o700);
  if (found.owner) chownSync(folder, found.owner.uid, found.owner.gid);
  const data = join(folder, 'data');
  const as = { ...found.owner, cwd: folder };
  execFileSync(
    join(found.folder, 'initdb'),
    ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync'],
    { ...as, stdio: ['ignore', 'ignore', 'inherit'] },
  );
  const port = await freePort();
  const url = `postgres://postgres@127.0.0.1:${port}/postgres`;
  const given = Object.entries({ listen_addresses: '127.0.0.1', ...settings });
  const launch = () => {
    const server = spawn(
      join(found.folder, 'postgres'),
      [
        ...['-D', data, '-p', String(port), '-k', folder],
        ...given.flatMap(([name, value]) => ['-c', `${name}=${value}`]),
      ],
      { ...as, stdio: 'ignore' },
    );
    const gone = new Promise<void>((resolve) => server.once('exit', () => resolve()));
    return { server, gone };
  };
  let running = launch();
  const halt = async () => {
    running.server.kill('SIGINT');
    await running.gone;
  };
  const stop = async () => {
    await halt();
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    await untilAnswering(url);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    url,
    folder,
    pid: () => running.server.pid as number,
    halt,
    async resume() {
      running = launch();
      await untilAnswering(url);
    },
    stop,
  };
}

/** Runs one statement over a connection of its own. */
export async function statement(url: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2_000 });
  client.on('error', () => {});
  try {
    await client.connect();
    await client.query(sql);
  } finally {
    await client.end().catch(() => {});
  }
}

async function untilAnswering(url: string): Promise<void> {
  const started = performance.now();
  for (;;) {
    try {
      return await statement(url, 'select 1');
    } catch (error) {
      if (performance.now() - started > startMsMax) throw error;
      await wait(10);
    }
  }
}

function find(): Found | string {
  const folder = binaries();
  if (folder === undefined) return 'neither /usr/lib/postgresql/*/bin nor PATH has initdb';
  if (process.getuid?.() !== 0) return { folder };
  try {
    // The server refuses to run as root, so it is run as the user its package made for it.
    const [uid, gid] = ['-u', '-g'].map((flag) =>
      Number(execFileSync('id', [flag, 'postgres'], { stdio: ['ignore', 'pipe', 'ignore'] })),
    );
    return { folder, owner: { uid: uid as number, gid: gid as number } };
  } catch {
    return 'running as root, and there is no user postgres to run a server as';
  }
}

function binaries(): string | undefined {
  const debian = '/usr/lib/postgresql';
  const versions = existsSync(debian) ? readdirSync(debian).sort((a, b) => +b - +a) : [];
  const folders = [
    ...versions.map((version) => join(debian, version, 'bin')),
    ...(process.env['PATH'] ?? '').split(delimiter),
  ];
  return folders.find((folder) =>
    ['initdb', 'postgres'].every((name) => folder !== '' && existsSync(join(folder, name))),
  );
}
