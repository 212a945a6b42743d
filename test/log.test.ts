import { expect, test } from 'vitest';
import { connectHot } from '../src/inventory/redis-connections.ts';
import { createLog } from '../src/log.ts';
import { startRedis } from './support/redis.ts';

test('a password that Redis refuses is not in the log', async () => {
  const redis = await startRedis();
  const lines: string[] = [];
  const log = createLog('info', { write: (line) => void lines.push(line) });
  const refused = connectHot(redis.url.replace(redis.password, 'a-wrong-password'), {
    timeoutMs: 1_000,
  });
  await new Promise<void>((resolve) => {
    refused.on('error', (error) => {
      log.warn({ err: error }, 'the connection to Redis failed');
      resolve();
    });
  });
  refused.disconnect();
  await redis.remove();
  expect(lines.join()).toContain('WRONGPASS');
  expect(lines.join()).not.toContain('a-wrong-password');
});

test('secrets that a line carries by name are not in the log', () => {
  const lines: string[] = [];
  const log = createLog('info', { write: (line) => void lines.push(line) });
  log.info({ apiKey: 's3cret', request: { headers: { authorization: 's3cret' } } }, 'a line');
  expect(lines.join()).toContain('a line');
  expect(lines.join()).not.toContain('s3cret');
});
