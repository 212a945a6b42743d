import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestEngine, type TestEngine } from '../support/engine.ts';
import { eventually } from '../support/eventually.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';
import { openSale } from '../support/sale.ts';

const missing = diskMissing();
const title = "a full disk under Redis' append-only file";

describe.skipIf(missing !== undefined)(missing ? `${title} (not run: ${missing})` : title, () => {
  let folder: string | undefined;
  let filler: string;
  let redis: TestRedis;
  let engine: TestEngine;
  let address: string;
  beforeAll(async () => {
    folder = mountDisk();
    filler = join(folder, 'filler');
    redis = await startRedis({ folder });
    engine = await startTestEngine({
      redisUrl: redis.url,
      settings: { demo: true },
      redisTimeoutMs: 500,
      timings: { claimIdleMs: 200, lockDurationMs: 1_000, stalledIntervalMs: 500 },
    });
    address = await engine.serve();
  });
  afterAll(async () => {
    await redis?.remove();
    if (folder) unmountDisk(folder);
    await engine?.stop();
  });

  /** A sale whose disk runs full in the middle, and has room again once `meanwhile` is over. */
  async function sellOver(meanwhile: () => Promise<void>): Promise<void> {
    const { apiKey } = await engine.merchant();
    const sale = await openSale({ address, merchantKey: apiKey }, { units: 1_000 });
    const buyers = await sale.gather(5);
    for (const one of buyers) expect((await sale.press(one)).status).toBe(202);
    fill(filler);
    await eventually(async () => {
      // New buyers each time: a replay writes nothing, so it may be answered from a full disk.
      const more = await sale.gather(20);
      buyers.push(...more);
      const answers = await Promise.all(more.map((one) => sale.press(one)));
      return answers.every(({ status }) => status === 503);
    });
    await eventually(async () => (await fetch(`${address}/readyz`)).status === 503);
    rmSync(filler);
    await meanwhile();
    await eventually(async () => (await fetch(`${address}/readyz`)).ok);
    for (const one of buyers) await eventually(async () => (await sale.press(one)).status === 202);
    const count = buyers.length;
    expect(await sale.judged()).toMatchObject({ held: 0, sold: count, paid: count, orders: count });
    const honest = ['', 'outcome_unknown', 'overloaded'];
    expect(sale.told().filter((code) => !honest.includes(code))).toEqual([]);
  }

  test('A Redis that fsyncs always stops on a full disk before it acknowledges anything, and goes on once there is room', async () => {
    await sellOver(() => redis.restart());
  });

  test('A Redis that fsyncs later refuses writes on a full disk, and the engine is unready until there is room', async () => {
    const operator = new Redis(redis.url);
    await operator.config('SET', 'appendfsync', 'everysec');
    await sellOver(async () => {});
    operator.disconnect();
  });
});

/** Why no small file system of its own can be had here; undefined when one can. */
function diskMissing(): string | undefined {
  if (process.getuid?.() !== 0) return 'only root mounts a disk to fill';
  try {
    const folder = mountDisk();
    unmountDisk(folder);
    return undefined;
  } catch (error) {
    return `no disk to fill: ${(error as Error).message.trim().split('\n').at(-1)}`;
  }
}

function mountDisk(): string {
  const folder = mkdtempSync(join(tmpdir(), 'flashdrop-test-disk-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m,mode=700', 'tmpfs', folder], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    return folder;
  } catch (error) {
    rmSync(folder, { recursive: true });
    throw error;
  }
}

function unmountDisk(folder: string): void {
  execFileSync('umount', [folder]);
  rmSync(folder, { recursive: true });
}

function fill(file: string): void {
  for (const size of [65_536, 4_096]) {
    try {
      for (;;) writeFileSync(file, Buffer.alloc(size), { flag: 'a' });
    } catch {
      // No space left for one of this size.
    }
  }
}
