import { execFileSync } from 'node:child_process';
import { createServer } from 'node:net';
import { expect, test } from 'vitest';
import { freePort } from '../../src/embedded/redis-process.ts';
import { type ClusterOptions, startCluster } from '../../src/processes/cluster.ts';
import { StartError } from '../../src/start-error.ts';

const log = { warn: () => {} };

/** How a cluster of three fails to start whose second member is opened with `how`. */
async function failure(how: string, options: Partial<ClusterOptions> = {}): Promise<Error> {
  const started = startCluster({
    count: 3,
    host: '127.0.0.1',
    port: await freePort(),
    log,
    file: new URL('./child.ts', import.meta.url),
    opening: (name) => (name === 'api-2' ? how : 'starts'),
    serve: () => ({ handlers: {}, close() {} }),
    ...options,
  });
  return await started.then(
    () => Promise.reject(new Error('it started')),
    (error: Error) => error,
  );
}

/** The members of this process' crews that live. */
function members(): string[] {
  const listed = execFileSync('ps', ['--ppid', String(process.pid), '-o', 'args='], {
    encoding: 'utf8',
  });
  return listed.split('\n').filter((line) => line.endsWith('processes/member.ts'));
}

test('a member that cannot start ends the whole cluster, and its reason is told', async () => {
  const error = await failure('cannot start');
  expect(error).toBeInstanceOf(StartError);
  expect(error.message).toBe('there is no Redis: install one');
  expect(members()).toEqual([]);
});

test('a member that dies before it serves ends the whole crew', async () => {
  const error = await failure('dies');
  expect(error).toBeInstanceOf(StartError);
  expect(error.message).toBe('api-2 ended before it served (SIGKILL)');
  expect(members()).toEqual([]);
});

test('a port that somebody has is refused, not shared with them', async () => {
  const stranger = createServer();
  const port = await freePort();
  // A stranger who shares would let anybody in; the cluster must not take the offer.
  await new Promise<void>((resolve) =>
    stranger.listen({ host: '127.0.0.1', port, reusePort: true }, resolve),
  );
  const error = await failure('starts', { port });
  stranger.close();
  expect(error).toMatchObject({ code: 'EADDRINUSE' });
  expect(members()).toEqual([]);
});

test('a system that cannot share a port says so, and which setting helps', async () => {
  const error = await failure('starts', { port: 0 });
  expect(error).toBeInstanceOf(StartError);
  expect(error.message).toContain('FLASHDROP_API_PROCESSES=1');
});
