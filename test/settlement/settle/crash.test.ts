import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { openLedger } from '../../../src/ledger/ledger.ts';
import type { OnStep } from '../../../src/settlement/steps.ts';
import { anItem } from '../../support/drops.ts';
import { eventually } from '../../support/eventually.ts';
import { compileCache, nodeFlags } from '../../support/program.ts';
import { sharedRedisUrl } from '../../support/redis.ts';
import { type LedgerPlace, newLedgerPlace } from '../../support/test-ledger.ts';
import { openStage } from '../stage.ts';

type Step = Parameters<OnStep>[0];
/** Where the provider keeps its book: in the ledger, as the wallet does, or elsewhere. */
type Book = 'in the ledger' | 'elsewhere';

const price = anItem().unitAmount;

/** Runs the victim until it has killed itself. */
async function killAt(
  step: Step,
  on: { namespace: string; place: LedgerPlace; book: Book },
): Promise<void> {
  const victim = spawn(
    process.execPath,
    [
      ...nodeFlags,
      join(import.meta.dirname, 'victim.ts'),
      ...[sharedRedisUrl(), on.namespace, JSON.stringify(on.place), step, on.book],
    ],
    {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...process.env, NODE_COMPILE_CACHE: compileCache },
    },
  );
  const [code, signal] = await once(victim, 'exit');
  expect([code, signal]).toEqual([null, 'SIGKILL']);
}

function stageOn(ledger: Awaited<ReturnType<typeof openLedger>>, namespace?: string) {
  return openStage({ redisUrl: sharedRedisUrl(), ledger, ...(namespace ? { namespace } : {}) });
}

/** A drop sold to a buyer with money and one without, then a crash at each step in turn. */
async function sellAndCrash(book: Book, at: readonly Step[]) {
  const { remove, ...place } = await newLedgerPlace();
  onTestFinished(remove);
  let ledger = await openLedger(place);
  let stage = await stageOn(ledger);
  const { namespace } = stage;
  const drop = await stage.publish();
  const [paid] = await stage.reserve(drop, ['rich']);
  const [declined] = await stage.reserve(drop, ['broke'], { fund: 0 });
  await stage.close();
  await ledger.close();
  for (const step of at) await killAt(step, { namespace, place, book });
  ledger = await openLedger(place);
  stage = await stageOn(ledger, namespace);
  await stage.settlement().start();
  return { stage, drop, paid, declined, close: () => stage.close().then(ledger.close) };
}

async function expectSettled(left: Awaited<ReturnType<typeof sellAndCrash>>): Promise<void> {
  const { stage, drop, paid, declined, close } = left;
  await stage.reaches(paid, 'paid');
  await stage.reaches(declined, 'released');
  expect(await stage.money('rich')).toEqual({ captures: 1, refunds: 0, kept: price });
  expect(await stage.money('broke')).toEqual({ captures: 0, refunds: 0, kept: 0 });
  await eventually(async () => (await stage.desk.audit(drop.id))?.clean);
  await close();
}

describe.each<Book>(['in the ledger', 'elsewhere'])('With the provider’s book %s', (book) => {
  test('A relay killed before it acknowledges causes one payment', async () => {
    await expectSettled(await sellAndCrash(book, ['relay queued']));
  });

  test('An order whose worker is killed after the capture is captured once', async () => {
    await expectSettled(await sellAndCrash(book, ['charged']));
  });

  test('An order whose workers are killed one after the other is settled by the first that survives', async () => {
    await expectSettled(
      await sellAndCrash(book, ['relay recorded', 'begun', 'recorded', 'applied']),
    );
  });
});
