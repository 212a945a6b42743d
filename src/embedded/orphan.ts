import { readFileSync, readlinkSync, realpathSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { StartError } from '../start-error.ts';
import { ask, type ChildRecord, containerFolder, fileNames } from './redis-process.ts';

const shutdownMsMax = 10_000;

/**
 * Ends the redis-server that an engine killed with -9 left running on a folder. Two servers would
 * corrupt one append-only file, so this runs before any start. A process is ended only when it is
 * ours: it accepts the folder's password and its working folder is this one.
 * @throws StartError when one runs on the folder and cannot be ended
 */
export async function endOrphan(options: {
  folder: string;
  password: string | undefined;
}): Promise<void> {
  const { folder, password } = options;
  const record = readRecord(folder);
  if (!record) return;
  if (password !== undefined) await shutDown(record, { folder, password });
  if (record.kind === 'local' && worksIn(record.pid, folder)) {
    // It did not answer: it is stopped, it hangs, or it still reads its file.
    process.kill(record.pid, 'SIGKILL');
    await until(() => !worksIn(record.pid, folder), 'could not be ended', record, folder);
  }
  rmSync(join(folder, fileNames.child), { force: true });
}

async function shutDown(
  record: ChildRecord,
  { folder, password }: { folder: string; password: string },
): Promise<void> {
  const where = { port: record.port, password };
  const found = await ask(where, async (client) => {
    const reply = await client.config('GET', 'dir');
    return Array.isArray(reply) ? reply[1] : undefined;
  });
  if (found.kind === 'error') return;
  const own = record.kind === 'docker' ? containerFolder : realpathSync(folder);
  if (found.value !== own) return;
  await ask(where, (client) => client.shutdown());
  const gone = async () => (await ask(where, (client) => client.ping())).kind === 'error';
  await until(gone, 'does not shut down', record, folder);
  if (record.kind === 'local') {
    await until(() => !worksIn(record.pid, folder), 'does not end', record, folder);
  }
}

async function until(
  isSo: () => boolean | Promise<boolean>,
  otherwise: string,
  { pid, port }: ChildRecord,
  folder: string,
): Promise<void> {
  const started = performance.now();
  while (!(await isSo())) {
    if (performance.now() - started > shutdownMsMax) {
      throw new StartError(
        `a redis-server (process ${pid}, port ${port}) still runs on ${folder} and ${otherwise}: ` +
          `end it (kill -9 ${pid}) and start again`,
      );
    }
    await delay(20);
  }
}

/** Whether the process is a Redis whose working folder is this one; false where there is no /proc. */
function worksIn(pid: number, folder: string): boolean {
  try {
    const name = readFileSync(`/proc/${pid}/comm`, 'utf8');
    return /redis|valkey/.test(name) && readlinkSync(`/proc/${pid}/cwd`) === realpathSync(folder);
  } catch {
    return false;
  }
}

function readRecord(folder: string): ChildRecord | undefined {
  try {
    return JSON.parse(readFileSync(join(folder, fileNames.child), 'utf8'));
  } catch {
    return undefined;
  }
}
