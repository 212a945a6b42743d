import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { freePort } from '../../src/embedded/free-port.ts';
import { type EngineProcess, startEngineProcess } from '../support/engine-process.ts';
import { openSale } from '../support/sale.ts';

// The engine as `npm start` runs it, embedded Redis and ledger and all.

let data: string;
let port: number;
let engine: EngineProcess | undefined;

const start = async () => {
  engine = await startEngineProcess({ data, port });
  return engine;
};

beforeAll(async () => {
  data = mkdtempSync(join(tmpdir(), 'flashdrop-test-process-'));
  port = await freePort();
  await start();
});
afterAll(async () => {
  await engine?.kill('SIGTERM');
  rmSync(data, { recursive: true, force: true });
});

/** Sells out to a crowd, ends the engine in the middle with a signal, and starts it again. */
async function sellOver(signal: 'SIGKILL' | 'SIGTERM') {
  const { address, merchantKey = '' } = engine as EngineProcess;
  const sale = await openSale({ address, merchantKey }, { units: 300 });
  let ended: Promise<{ code: number | null; err: string }> | undefined;
  await sale.run(await sale.gather(420), {
    pressing: 60,
    onAccepted(accepted) {
      if (accepted !== 120) return;
      ended = (engine as EngineProcess).kill(signal).then(async (how) => {
        await start();
        return how;
      });
    },
  });
  return { sale, ended: await ended };
}

describe('An engine that ends in the middle of a sale', () => {
  test('A killed engine goes on with the sale after a start, and every order it acknowledged ends', async () => {
    const { sale } = await sellOver('SIGKILL');
    expect(await sale.judged()).toMatchObject({ available: 0, sold: 300, paid: 300 });
  });

  test('An engine that is asked to stop answers every request it has accepted, and goes on with the sale after a start', async () => {
    const { sale, ended } = await sellOver('SIGTERM');
    expect(ended).toMatchObject({ code: 0, err: '' });
    const honest = ['', 'all_held', 'overloaded', 'sold_out'];
    const answered = [...sale.book.values()].flat().filter(({ status }) => status !== 0);
    expect(answered.filter(({ code }) => !honest.includes(code))).toEqual([]);
    expect(await sale.judged()).toMatchObject({ available: 0, sold: 300, paid: 300 });
    const metrics = await (await fetch(`${(engine as EngineProcess).opsAddress}/metrics`)).text();
    expect(metrics).not.toMatch(/outcome="stalled"\} [1-9]/);
  });
});
