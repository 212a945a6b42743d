import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openFolder } from '../../src/embedded/folder.ts';
import { type Holder, readHolder } from '../../src/embedded/lock.ts';
import { StartError } from '../../src/start-error.ts';
import { eventually } from '../support/eventually.ts';
import { startProgram } from '../support/program.ts';

let parent: string;
let path: string;

beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'flashdrop test folder '));
  path = join(parent, 'data');
});
afterEach(() => rmSync(parent, { recursive: true, force: true }));

/** The message with which a folder is refused. */
async function refusal(fresh = false): Promise<string> {
  const error = await openFolder({ path, fresh }).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof StartError)) throw new Error(`not refused: ${String(error)}`);
  expect(error.message).not.toContain('\n');
  return error.message;
}

/** Writes a lock as an instance that never released it would have left it. */
function leaveLock(holder: Partial<Holder>): void {
  const whole = { pid: 1, born: '', host: hostname(), token: 'left', ...holder };
  writeFileSync(join(path, 'lock.json'), JSON.stringify(whole));
}

describe('a data folder', () => {
  test('A data folder and its secrets are readable by their owner alone', async () => {
    const folder = await openFolder({ path, fresh: false });
    expect(statSync(path).mode & 0o777).toBe(0o700);
    expect(statSync(join(path, 'secrets.json')).mode & 0o777).toBe(0o600);
    folder.close();
  });

  test('A data folder of an earlier version gets the secrets that it lacks, once, and keeps the others', async () => {
    const first = await openFolder({ path, fresh: false });
    first.close();
    const { operatorKey: _, ...earlier } = first.secrets;
    writeFileSync(join(path, 'secrets.json'), JSON.stringify(earlier));
    const second = await openFolder({ path, fresh: false });
    second.close();
    expect(second.secrets).toEqual({ ...earlier, operatorKey: expect.stringMatching(/^.{43}$/) });
    expect(statSync(join(path, 'secrets.json')).mode & 0o777).toBe(0o600);
    const third = await openFolder({ path, fresh: false });
    third.close();
    expect(third.secrets).toEqual(second.secrets);
  });

  test('A data folder keeps its secrets over a restart, so that tokens stay valid', async () => {
    const first = await openFolder({ path, fresh: false });
    first.close();
    const second = await openFolder({ path, fresh: false });
    expect(second.secrets).toEqual(first.secrets);
    second.close();
  });

  test('--fresh empties the data folder and generates new secrets', async () => {
    const first = await openFolder({ path, fresh: false });
    mkdirSync(first.ledger);
    writeFileSync(join(first.ledger, 'old'), '');
    first.close();
    const second = await openFolder({ path, fresh: true });
    expect(second.secrets.jwtSecret).not.toBe(first.secrets.jwtSecret);
    expect(existsSync(join(second.ledger, 'old'))).toBe(false);
    second.close();
  });

  test('A folder with files of other programs is refused and left unchanged, also with --fresh', async () => {
    mkdirSync(path);
    writeFileSync(join(path, 'thesis.txt'), 'ten years of work');
    for (const fresh of [false, true]) {
      expect(await refusal(fresh)).toContain("not flashdrop's");
    }
    expect(readFileSync(join(path, 'thesis.txt'), 'utf8')).toBe('ten years of work');
  });

  test('A data folder that is a file is refused in one line', async () => {
    writeFileSync(path, '');
    expect(await refusal()).toContain('it is a file');
  });

  test('A data folder that is not writable is refused in one line', async () => {
    mkdirSync(path, { mode: 0o500 });
    // Root ignores file modes, so the test runs as the user nobody.
    const isRoot = process.geteuid?.() === 0;
    if (isRoot) process.seteuid?.('nobody');
    try {
      expect(await refusal()).toContain('no permission');
    } finally {
      if (isRoot) process.seteuid?.(0);
    }
  });

  test('A data folder with damaged secrets is refused and gets no new ones', async () => {
    (await openFolder({ path, fresh: false })).close();
    writeFileSync(join(path, 'secrets.json'), '{"jwtSecret":');
    expect(await refusal()).toContain('secrets.json cannot be read');
    expect(readHolder(path)).toBeUndefined();
  });
});

describe('the lock of a data folder', () => {
  test('The lock of a data folder is released when it is closed', async () => {
    (await openFolder({ path, fresh: false })).close();
    expect(readHolder(path)).toBeUndefined();
  });

  test('The lock of a process that has ended is taken over', async () => {
    (await openFolder({ path, fresh: false })).close();
    leaveLock({ pid: 2 ** 22 + 1 });
    (await openFolder({ path, fresh: false })).close();
  });

  test('A lock is taken over when its pid now belongs to a later process', async () => {
    (await openFolder({ path, fresh: false })).close();
    leaveLock({ pid: process.ppid, born: 'long before' });
    (await openFolder({ path, fresh: false })).close();
  });

  test('A lock with the own pid is taken over, as in a container that started again', async () => {
    (await openFolder({ path, fresh: false })).close();
    leaveLock({ pid: process.pid });
    (await openFolder({ path, fresh: false })).close();
  });

  test('A lock of another host is in force as long as that host touches it', async () => {
    (await openFolder({ path, fresh: false })).close();
    leaveLock({ host: 'another-container' });
    expect(await refusal()).toContain('another-container');
  });

  test('The process that holds a lock cannot take it a second time', async () => {
    const folder = await openFolder({ path, fresh: false });
    expect(await refusal()).toContain(`process ${process.pid}`);
    folder.close();
  });

  test('Of several processes that find a dead lock at once exactly one takes it', async () => {
    (await openFolder({ path, fresh: false })).close();
    leaveLock({ pid: 2 ** 22 + 1 });
    const rivals = Array.from({ length: 4 }, () =>
      startProgram('test/setup/hold-folder.ts', { args: [path] }),
    );
    const settled = () =>
      rivals.map((rival) => {
        const { out, err } = rival.printed();
        return out !== '' ? 'holds it' : /is in use|is being taken/.test(err) ? 'refused' : '';
      });
    try {
      await eventually(() => !settled().includes(''));
      expect(settled().sort()).toEqual(['holds it', 'refused', 'refused', 'refused']);
    } finally {
      for (const rival of rivals) rival.kill('SIGTERM');
      await Promise.all(rivals.map((rival) => rival.ended));
    }
  });
});
