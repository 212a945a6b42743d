import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openLanes } from '../../src/inventory/lanes.ts';
import { connectHot } from '../../src/inventory/redis-connections.ts';
import { type ScriptName, scripts, scriptText } from '../../src/inventory/scripts.ts';
import { sharedRedisUrl, untilReady } from '../support/redis.ts';
import { testSeed } from '../support/seed.ts';
import { laneAgreesWithModel, loadScripts, sequences } from './commands.ts';

const redis = connectHot(sharedRedisUrl(), { timeoutMs: 5_000 });
const namespace = 'test-model';
/** Of random sequences, 200 each; a second one is needed once in some runs. */
const roundsMax = 8;

beforeAll(() => untilReady(redis));
afterAll(() => redis.disconnect());

test('A lane does what its model does, whatever is called in whatever order', async () => {
  const words = new Map<string, number>();
  await loadScripts(redis, scriptText);
  const lanes = openLanes(redis, namespace);
  const seed = testSeed('lane model');
  const missing = () => everyWord().filter((word) => !words.has(word));
  // A random test proves nothing about an answer that it never had: it goes on until it had each.
  for (let round = 0; round === 0 || (round < roundsMax && missing().length > 0); round += 1) {
    const property = laneAgreesWithModel({ redis, lanes, namespace, words });
    await fc.assert(property, { seed: seed + round, ...sequences });
  }
  expect(missing()).toEqual([]);
  expect(await redis.keys(`${namespace}:*`)).toEqual([]);
});

function everyWord(): string[] {
  const names = Object.keys(scripts) as ScriptName[];
  return names.flatMap((name) => scripts[name].replies.map((word) => `${name} ${word}`));
}
