import { setTimeout as wait } from 'node:timers/promises';
import type { Merchant } from '../merchant.ts';
import type { Fired } from './fire.ts';

export type Judged = {
  checks: { ok: boolean; title: string; figures: string }[];
  breaches: string[];
  /** No order of the drop was in motion when the engine audited itself. */
  settled: boolean;
};

const breachesShown = 20;
const settleMsMax = 60_000;
const pollMs = 250;

/**
 * Audits a load. Others may buy in the same drop, so it judges what its own buyers were told, against
 * the merchant's list, and asks the engine for its own audit of the rest.
 */
export async function judgeLoad(
  merchant: Pick<Merchant, 'orders' | 'audit' | 'unsettled'>,
  { drop, fired, stop }: { drop: string; fired: Fired; stop: AbortSignal },
): Promise<Judged> {
  await untilSettled(merchant, { drop, stop });
  const told = new Map(fired.heard.flatMap(({ order, buyer }) => (order ? [[order, buyer]] : [])));
  const mine = new Set([...fired.heard.map(({ buyer }) => buyer), ...fired.unanswered]);
  const unsure = new Set(fired.unanswered);
  const missing = new Map(told);
  const ledger: string[] = [];
  let listed = 0;
  for await (const { id, buyer } of merchant.orders(drop)) {
    const owner = told.get(id);
    missing.delete(id);
    if (owner !== undefined && owner !== buyer) ledger.push(`${id} of ${owner} is ${buyer}'s`);
    if (!mine.has(buyer)) continue;
    listed += 1;
    if (owner === undefined && !unsure.has(buyer)) {
      ledger.push(`${id} exists, and ${buyer} was never told of it`);
    }
  }
  for (const [id, buyer] of missing) ledger.push(`${id} was acknowledged to ${buyer} and is gone`);
  const own = await merchant.audit(drop);
  const audit = own.checks.flatMap(({ ok, title, findings }) => {
    return ok ? [] : findings.length > 0 ? findings : [title];
  });
  return {
    settled: own.settled,
    breaches: [...ledger, ...audit].slice(0, breachesShown),
    checks: [
      {
        ok: ledger.length === 0,
        title: 'every acknowledged order is in the ledger, and no other of these buyers',
        figures: `acknowledged ${told.size}, listed ${listed}, unanswered ${unsure.size}`,
      },
      {
        ok: audit.length === 0,
        title: "the engine's own audit of the drop",
        figures: `checks ${own.checks.length}, ${own.settled ? 'settled' : 'orders still in motion'}`,
      },
    ],
  };
}

async function untilSettled(
  merchant: Pick<Merchant, 'unsettled'>,
  { drop, stop }: { drop: string; stop: AbortSignal },
): Promise<void> {
  const until = performance.now() + settleMsMax;
  while (performance.now() < until && !stop.aborted) {
    if ((await merchant.unsettled(drop)) === 0) return;
    await wait(pollMs);
  }
}
