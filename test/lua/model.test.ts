import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openLanes } from '../../src/inventory/lanes.ts';
import { connectHot } from '../../src/inventory/redis-connections.ts';
import { type ScriptName, scripts, scriptText } from '../../src/inventory/scripts.ts';
import { sharedRedisUrl } from '../support/redis.ts';
import { testSeed } from '../support/seed.ts';
import { laneAgreesWithModel, loadScripts, sequences } from './commands.ts';

const redis = connectHot(sharedRedisUrl(), { timeoutMs: 5_000 });
const namespace = 'test-model';

beforeAll(() => new Promise<void>((resolve) => redis.once('ready', resolve)));
afterAll(() => redis.disconnect());

test('A lane does what its model does, whatever is called in whatever order', async () => {
  const words = new Map<string, number>();
  await loadScripts(redis, scriptText);
  const lanes = openLanes(redis, namespace);
  await fc.assert(laneAgreesWithModel({ redis, lanes, namespace, words }), {
    seed: testSeed('lane model'),
    ...sequences,
  });
  // A random test proves nothing about an answer that it never had.
  expect(new Set(words.keys())).toEqual(new Set(everyWord()));
  expect(await redis.keys(`${namespace}:*`)).toEqual([]);
});

function everyWord(): string[] {
  const names = Object.keys(scripts) as ScriptName[];
  return names.flatMap((name) => scripts[name].replies.map((word) => `${name} ${word}`));
}
