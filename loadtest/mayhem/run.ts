import { hash } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import { isDropId } from '../../src/domain/ids.ts';
import type { Ledger } from '../../src/ledger/ledger.ts';
import { openMerchant } from '../merchant.ts';
import { newBook } from './book.ts';
import { live, type Shop, sku } from './buyer.ts';
import { type Evidence, gatherEvidence, openWitness, type Witnesses } from './evidence.ts';
import { type Judgement, judge } from './judge.ts';
import { crowdSize, crowdsOf, type Plan, planOf, unitsWanted } from './plan.ts';
import { openStage, type Stage } from './stage.ts';
import { giveBack } from './store.ts';
import { openWire } from './wire.ts';

export type MayhemOptions = {
  seed: number;
  orders: number;
  kills: number;
  workers?: number;
  /** Buyers who come in a second. */
  rate: number;
  holdMs: number;
  /**
   * True: polls of closed payments, which come a minute after the closing, are made due at once when
   * the buyers are done.
   */
  hurry?: boolean;
  /** How long the run may take to become consistent once the buyers are done, in ms. */
  settleMsMax?: number;
  say(text: string): void;
};

export type MayhemResult = Judgement & {
  evidence: Evidence;
  kills: number;
  buyersMs: number;
  settledMs: number;
  /** Where the processes logged, when that is kept. */
  logs: string | undefined;
};

const price = 199_900;
/** Spare units: few, so that buyers and late captures compete for them. */
const spare = 0.06;
const settleMsDefault = 180_000;
const judgeEveryMs = 2_000;

/** Sells two drops with all faults on, and judges the result. */
export async function runMayhem(options: MayhemOptions): Promise<MayhemResult> {
  const { seed, orders, kills, workers = 2, say } = options;
  const plan = planOf({ seed, orders, kills, workers });
  const stage = await openStage({ seed, workers });
  let clean = false;
  let ledger: Ledger | undefined;
  try {
    ledger = await openWitness(stage.databaseUrl);
    const { address, merchant: store } = stage;
    const merchant = openMerchant({ address, merchantKey: store.apiKey });
    const call = openWire(stage.address);
    const book = newBook();
    const drops = await openDrops({ stage, plan, ledger, seed, holdMs: options.holdMs });
    const shop: Shop = {
      call,
      book,
      tokens: await tokensOf(stage, plan),
      drops: [drops[0].id, drops[1].id],
    };
    const started = performance.now();
    const lastsMs = (orders / options.rate) * 1_000;
    const killing = killWorkers({ stage, plan, lastsMs, say });
    await Promise.all(
      plan.buyers.map(async (buyer) => {
        await wait(buyer.comesAt * lastsMs);
        const paid = await live(shop, buyer);
        if (!paid) return;
        const merchantKey = store.apiKey;
        await giveBack({ call, book, merchantKey }, { order: paid, price, refund: buyer.refund });
      }),
    );
    await killing;
    const buyersMs = performance.now() - started;
    say(`the buyers are done after ${seconds(buyersMs)}`);
    await stage.calm();
    const witnesses = { plan, book, price, drops, merchant, simulators: stage.simulators, ledger };
    const { evidence, judgement } = await untilClean(witnesses, options);
    clean = judgement.breaches.length === 0;
    const settledMs = performance.now() - started;
    say(`${clean ? 'all is in order' : 'it is not in order'} after ${seconds(settledMs)}`);
    const logs = clean ? undefined : stage.logs;
    return { ...judgement, evidence, kills: plan.kills.length, buyersMs, settledMs, logs };
  } finally {
    await ledger?.close();
    await stage.stop({ keepLogs: !clean });
  }
}

/** Judges repeatedly: what is still in flight arrives, what is wrong stays. */
async function untilClean(
  witnesses: Witnesses,
  { hurry, settleMsMax = settleMsDefault, say }: MayhemOptions,
): Promise<{ evidence: Evidence; judgement: Judgement }> {
  const started = performance.now();
  let before: number | undefined;
  for (;;) {
    if (hurry) await skipTheWait(witnesses.ledger);
    const first = judge(await gatherEvidence(witnesses, { withAudit: false }));
    const isOver = performance.now() - started > settleMsMax;
    if (first.breaches.length === 0 || isOver) {
      const evidence = await gatherEvidence(witnesses, { withAudit: true });
      const judgement = judge(evidence);
      if (judgement.breaches.length === 0 || isOver) return { evidence, judgement };
    }
    const amiss = first.breaches.length;
    if (amiss !== before) say(`${amiss} things are on their way yet`);
    before = amiss;
    await wait(judgeEveryMs);
  }
}

async function skipTheWait(ledger: Ledger): Promise<void> {
  await ledger.database.query(
    `update payments set look_at = 0 where state = 'declined' and look_at is not null`,
  );
}

async function killWorkers(options: {
  stage: Stage;
  plan: Plan;
  lastsMs: number;
  say(text: string): void;
}): Promise<void> {
  const { stage, plan, lastsMs, say } = options;
  const started = performance.now();
  for (const { worker, at } of plan.kills) {
    await wait(Math.max(0, at * lastsMs - (performance.now() - started)));
    say(`SIGKILL to worker ${worker} after ${seconds(performance.now() - started)}`);
    await stage.kill(worker);
  }
}

type OpenedDrop = { id: string; allotment: number };

/**
 * Two drops with ids from the seed. Order ids follow from the drop's id, and payment references from
 * order ids, so a repeated run applies the same faults to the same payments.
 */
async function openDrops(options: {
  stage: Stage;
  plan: Plan;
  ledger: Ledger;
  seed: number;
  holdMs: number;
}): Promise<[OpenedDrop, OpenedDrop]> {
  const { stage, plan, ledger, seed, holdMs } = options;
  const { id: merchantId, apiKey: token } = stage.merchant;
  const call = openWire(stage.address);
  const now = Date.now();

  async function open(nth: number, lateCapture: 'retake' | 'refund'): Promise<OpenedDrop> {
    const allotment = Math.ceil(unitsWanted(plan, nth) * (1 + spare)) + 2;
    const id = `drop_${hash('sha256', `${seed} ${nth}`, 'hex').slice(0, 12)}`;
    if (!isDropId(id)) throw new Error(`bug: ${id} is not a drop's id`);
    await ledger.drops.create({
      id,
      merchantId,
      title: `Mayhem, ${lateCapture}`,
      currency: 'CNY',
      holdMs,
      lateCapture,
      startsAt: now - 1_000,
      endsAt: now + 3_600_000,
      lanes: 1,
      version: 0,
      decision: 'draft',
      items: [{ sku, title: 'A phone', unitAmount: price, allotment, perBuyer: 1 }],
    });
    const published = await call('POST', `/v1/drops/${id}/publish`, { token });
    if (published.status !== 200) throw new Error(`no drop: ${published.text}`);
    return { id, allotment };
  }

  return [await open(0, 'retake'), await open(1, 'refund')];
}

/** Tokens of all buyers, with and without money, by name. */
async function tokensOf(stage: Stage, plan: Plan): Promise<Map<string, string>> {
  const call = openWire(stage.address);
  const tokens = new Map<string, string>();
  for (const { prefix, isPoor } of crowdsOf(plan)) {
    const body = { prefix, count: crowdSize, amount: isPoor ? 0 : price };
    const minted = await call('POST', '/demo/crowds', { body });
    if (minted.status !== 201) throw new Error(`no tokens: ${minted.text}`);
    for (const one of minted.json['tokens'] as { sub: string; token: string }[]) {
      tokens.set(one.sub, one.token);
    }
  }
  return tokens;
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}
