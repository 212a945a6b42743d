import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'undici';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { freePort } from '../../src/embedded/free-port.ts';
import { type EngineProcess, startEngineProcess } from '../support/engine-process.ts';
import { eventually } from '../support/eventually.ts';
import { openSale } from '../support/sale.ts';

// Several api processes on one port, with the embedded stores in the process that starts them.

const count = 3;
let data: string;
let port: number;
let engine: EngineProcess;

const start = async () => {
  engine = await startEngineProcess({ data, port, args: ['--api-processes', String(count)] });
};

beforeAll(async () => {
  data = mkdtempSync(join(tmpdir(), 'flashdrop-test-crew-'));
  port = await freePort();
  await start();
});
afterAll(async () => {
  await engine?.kill('SIGTERM');
  rmSync(data, { recursive: true, force: true });
});

/** The api processes that live, as the system sees them. */
function members(primary = engine.pid): number[] {
  const listed = execFileSync('ps', ['-eo', 'pid=,ppid=,args='], { encoding: 'utf8' });
  return listed.split('\n').flatMap((line) => {
    const [, pid, parent] = /^\s*(\d+)\s+(\d+)\s.*api-process\.ts$/.exec(line) ?? [];
    return Number(parent) === primary ? [Number(pid)] : [];
  });
}

async function metrics(): Promise<string> {
  return await (await fetch(`${engine.opsAddress}/metrics`)).text();
}

async function openASale(units: number) {
  const { address, merchantKey = '' } = engine;
  return await openSale({ address, merchantKey }, { units });
}

describe('Several processes on one port', () => {
  test('Several processes on one port are one engine: each answers every route, and the metrics are sums over all', async () => {
    expect(members()).toHaveLength(count);
    const sale = await openASale(40);
    const buyers = await sale.gather(40);
    const accepted: Record<string, number> = {};
    for (const { buyer, token } of buyers) {
      // A connection each, so that the system gives them to different processes.
      const client = new Client(engine.address);
      const authorization = `Bearer ${token}`;
      const bought = await client.request({
        method: 'POST',
        path: `/v1/drops/${sale.drop}/orders`,
        headers: { authorization, 'content-type': 'application/json', 'idempotency-key': buyer },
        body: JSON.stringify({ sku: 'phone', quantity: 1, payment: { method: 'wallet' } }),
      });
      const { id } = (await bought.body.json()) as { id: string };
      await client.close();
      // Another connection, perhaps another process: the order and the wallet are the same.
      const order = await sale.order({ buyer, token }, id);
      accepted[String(bought.statusCode)] = (accepted[String(bought.statusCode)] ?? 0) + 1;
      expect(order).toMatchObject({ id, drop: sale.drop });
    }
    expect(accepted).toEqual({ 202: 40 });
    expect(await sale.settled()).toMatchObject({ available: 0, sold: 40, paid: 40 });
    const told = await metrics();
    expect(told).toMatch(/^flashdrop_buys_total\{outcome="reserved"\} 40$/m);
    expect(told).toMatch(/^flashdrop_buy_seconds_count 40$/m);
    const lags = told.match(/^flashdrop_nodejs_eventloop_lag_seconds\{process="[\w-]+"\}/gm);
    expect(lags).toHaveLength(count + 1);
  });

  test('A killed process is started again, and the clients of the others do not notice', async () => {
    const before = await metrics();
    const sold = Number(/outcome="reserved"\} (\d+)/.exec(before)?.[1]);
    const [victim] = members();
    process.kill(victim as number, 'SIGKILL');
    await eventually(() => {
      const living = members();
      return living.length === count && !living.includes(victim as number);
    });
    const sale = await openASale(30);
    await sale.run(await sale.gather(45));
    expect(await sale.judged()).toMatchObject({ available: 0, sold: 30, paid: 30 });
    // What the dead one had counted still counts.
    const after = Number(/outcome="reserved"\} (\d+)/.exec(await metrics())?.[1]);
    expect(after).toBe(sold + 30);
  });

  test('A sale goes on while one process after the other is killed', async () => {
    const sale = await openASale(200);
    await sale.run(await sale.gather(300), {
      pressing: 60,
      onAccepted(accepted) {
        if (accepted % 60 === 0) process.kill(members()[0] as number, 'SIGKILL');
      },
    });
    expect(await sale.judged()).toMatchObject({ available: 0, sold: 200, paid: 200 });
    await eventually(() => members().length === count);
  });

  test('All processes end when the one that started them is killed, and the next start goes on with the sale', async () => {
    const sale = await openASale(200);
    const orphans = members();
    let restarted: Promise<void> | undefined;
    await sale.run(await sale.gather(300), {
      pressing: 60,
      onAccepted(accepted) {
        if (accepted === 100) restarted = engine.kill('SIGKILL').then(start);
      },
    });
    await restarted;
    expect(members(1).filter((pid) => orphans.includes(pid))).toEqual([]);
    expect(await sale.judged()).toMatchObject({ available: 0, sold: 200, paid: 200 });
  });

  test('Requests in flight are answered when the whole process group is asked to stop', async () => {
    const sale = await openASale(200);
    const everybody = [...members(), engine.pid];
    let ended: Promise<{ code: number | null; err: string }> | undefined;
    await sale.run(await sale.gather(300), {
      pressing: 60,
      onAccepted(accepted) {
        if (accepted !== 100) return;
        for (const pid of everybody) process.kill(pid, 'SIGINT');
        ended = engine.ended.then(async (how) => {
          await start();
          return how;
        });
      },
    });
    expect(await ended).toMatchObject({ code: 0, err: '' });
    const honest = ['', 'all_held', 'overloaded', 'sold_out'];
    const answered = [...sale.book.values()].flat().filter(({ status }) => status !== 0);
    expect(answered.filter(({ code }) => !honest.includes(code))).toEqual([]);
    expect(await sale.judged()).toMatchObject({ available: 0, sold: 200, paid: 200 });
  });
});
