import { execFileSync } from 'node:child_process';
import { createServer } from 'node:net';
import { expect, test } from 'vitest';
import { freePort } from '../../src/embedded/free-port.ts';
import { launchCluster } from '../../src/processes/cluster.ts';
import { StartError } from '../../src/start-error.ts';

const log = { warn: () => {} };

/** A cluster of three whose second child is opened with `how`, and what starting it failed with. */
async function failure(how: string, options: { port?: number } = {}): Promise<Error> {
  const file = new URL('./child.ts', import.meta.url);
  const cluster = launchCluster({ count: 3, file, log });
  expect(childCount()).toBe(3);
  const served = cluster.serve({
    host: '127.0.0.1',
    port: options.port ?? (await freePort()),
    opening: (name) => (name === 'api-2' ? how : 'starts'),
    handlersFor: () => ({ handlers: {}, close() {} }),
  });
  try {
    return await served.then(
      () => Promise.reject(new Error('it started')),
      (error: Error) => error,
    );
  } finally {
    await cluster.stop({ quietMs: 0 });
  }
}

/** How many child processes of this process' clusters are alive. */
function childCount(): number {
  const listed = execFileSync('ps', ['--ppid', String(process.pid), '-o', 'args='], {
    encoding: 'utf8',
  });
  return listed.split('\n').filter((line) => line.endsWith('processes/child.ts')).length;
}

test('A child that cannot start fails the whole cluster with its reason, and no child is left', async () => {
  const error = await failure('cannot start');
  expect(error).toBeInstanceOf(StartError);
  expect(error.message).toBe('there is no Redis: install one');
  expect(childCount()).toBe(0);
});

test('A child that dies before it serves fails the whole cluster, and no child is left', async () => {
  const error = await failure('dies');
  expect(error).toBeInstanceOf(StartError);
  expect(error.message).toBe('api-2 ended before it served (SIGKILL)');
  expect(childCount()).toBe(0);
});

test('A port that another program has is refused, also when that program would share it', async () => {
  const other = createServer();
  const port = await freePort();
  await new Promise<void>((resolve) =>
    other.listen({ host: '127.0.0.1', port, reusePort: true }, resolve),
  );
  const error = await failure('starts', { port });
  other.close();
  expect(error).toMatchObject({ code: 'EADDRINUSE' });
  expect(childCount()).toBe(0);
});

test('A system that cannot share a port says so, and which setting helps', async () => {
  const error = await failure('starts', { port: 0 });
  expect(error).toBeInstanceOf(StartError);
  expect(error.message).toContain('FLASHDROP_API_PROCESSES=1');
});
