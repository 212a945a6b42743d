import type { TestProject } from 'vitest/node';
import { dockerAnswers, dockerHasImage } from '../../src/embedded/find-redis.mjs';
import { startRedis } from './redis.ts';

const image = process.env['FLASHDROP_TEST_REDIS_IMAGE'] ?? 'redis:7';
const containerPort = 6379;

type SharedRedis = { url: string; kind: string; stop(): Promise<void> };

/** Starts one real Redis for a whole run: a container where one can be had, else a child process. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const redis = await start();
  project.provide('redisUrl', redis.url);
  project.provide('redisKind', redis.kind);
  process.stderr.write(`tests run on ${redis.kind}\n`);
  return redis.stop;
}

async function start(): Promise<SharedRedis> {
  // An image is never fetched here: a test run should not depend on a registry.
  const container = dockerAnswers(process.env) && dockerHasImage(process.env, image);
  if (!container) return startLocal('no Docker engine with the image at hand');
  return startContainer().catch((error: Error) => startLocal(`no container: ${error.message}`));
}

async function startLocal(why: string): Promise<SharedRedis> {
  const redis = await startRedis();
  return { url: redis.url, kind: `a local redis-server (${why})`, stop: redis.remove };
}

async function startContainer(): Promise<SharedRedis> {
  const { GenericContainer, Wait } = await import('testcontainers');
  const container = await new GenericContainer(image)
    .withCommand([
      'redis-server',
      ...['--appendonly', 'yes', '--appendfsync', 'always', '--save', ''],
      ...['--maxmemory-policy', 'noeviction', '--protected-mode', 'no'],
    ])
    .withExposedPorts(containerPort)
    // The usual wait for the port runs a shell inside, which a bare image does not have.
    .withWaitStrategy(Wait.forLogMessage(/Ready to accept connections/))
    .start();
  return {
    url: `redis://${container.getHost()}:${container.getMappedPort(containerPort)}`,
    kind: `testcontainers with the image ${image}`,
    stop: async () => {
      await container.stop();
    },
  };
}
