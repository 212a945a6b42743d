import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readHolder } from '../../src/embedded/lock.ts';
import { eventually } from '../support/eventually.ts';
import { startMs } from '../support/patience.ts';
import { type Program, runProgram, startProgram } from '../support/program.ts';

let parent: string;
let data: string;

beforeAll(() => {
  parent = mkdtempSync(join(tmpdir(), 'flashdrop test stop '));
  data = join(parent, 'data');
});
afterAll(() => rmSync(parent, { recursive: true, force: true }));

/** The whole engine, embedded, once it serves. */
async function start(): Promise<{ engine: Program; address: string }> {
  const engine = startProgram('src/main.ts', { args: ['--data', data, '--port', '0'] });
  const died = engine.ended.then(({ err }) => Promise.reject(new Error(`did not start: ${err}`)));
  const serving = eventually(() => /serves at (http\S+)/.exec(engine.printed().out)?.[1], {
    withinMs: startMs,
  });
  const address = await Promise.race([serving, died]);
  died.catch(() => {}); // Later the test itself ends it.
  return { engine, address };
}

/** Child processes of a process, as Linux lists them. */
function childrenOf(pid: number): number[] {
  const list = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8');
  return list.split(' ').filter(Boolean).map(Number);
}

describe('the whole engine, embedded', () => {
  test.skipIf(!existsSync('/proc/self/task'))(
    'A Ctrl-C during the start, which ends the child processes too, is a clean stop',
    async () => {
      const engine = startProgram('src/main.ts', {
        args: ['--data', join(parent, 'early'), '--port', '0', '--api-processes', '2'],
      });
      const children = await eventually(() => {
        const found = childrenOf(engine.pid);
        return found.length > 0 ? found : undefined;
      });
      for (const pid of [...children, engine.pid]) process.kill(pid, 'SIGINT');
      const { code, signal, err } = await engine.ended;
      expect({ code, signal, err }).toEqual({ code: 0, signal: null, err: expect.any(String) });
      expect(err).not.toContain('flashdrop:');
      expect(readHolder(join(parent, 'early'))).toBeUndefined();
    },
  );

  test('The embedded engine stops cleanly on one Ctrl-C, though npm sends it a second time', async () => {
    const { engine, address } = await start();
    expect((await fetch(`${address}/livez`)).status).toBe(200);
    expect(readHolder(data)).toMatchObject({ pid: engine.pid, address });
    engine.kill('SIGINT');
    engine.kill('SIGINT');
    expect(await engine.ended).toMatchObject({ code: 0, signal: null, err: '' });
    expect(readHolder(data)).toBeUndefined();
    expect(existsSync(join(data, 'redis', 'child.json'))).toBe(false);
    const logged = readFileSync(join(data, 'redis', 'redis.log'), 'utf8');
    expect(logged).toContain('Redis is now ready to exit');
  });
});

describe('an embedded engine that serves', () => {
  let engine: Program;
  let address: string;
  beforeAll(async () => {
    ({ engine, address } = await start());
  });

  test('npm run merchant creates merchants and issues and revokes keys while the engine has the ledger open', async () => {
    const merchant = async (...args: string[]) => {
      const ended = await runProgram('scripts/merchant.ts', {
        args,
        env: { FLASHDROP_DATA: data },
      });
      expect(ended).toMatchObject({ code: 0, err: '' });
      return ended.out;
    };
    const list = async (key: string | undefined) =>
      (await fetch(`${address}/v1/drops`, { headers: { authorization: `Bearer ${key}` } })).status;
    const created = await merchant('create', 'Corner shop');
    const [id, first] = [/^merchant {2}(\S+)/, /API key {3}(\S+)/].map(
      (one) => one.exec(created)?.[1],
    );
    const second = /API key {3}(\S+)/.exec(await merchant('key', String(id)))?.[1];
    expect([await list(first), await list(second)]).toEqual([200, 200]);
    expect(await merchant('revoke', String(second))).toBe('revoked\n');
    await eventually(async () => (await list(second)) === 401);
    expect(await list(first)).toBe(200);
  });

  test('An engine whose terminal closes stops in good order, and leaves neither its redis-server nor its lock behind', async () => {
    engine.kill('SIGHUP');
    expect(await engine.ended).toMatchObject({ code: 0, signal: null });
    expect(readHolder(data)).toBeUndefined();
    expect(existsSync(join(data, 'redis', 'child.json'))).toBe(false);
  });
});
