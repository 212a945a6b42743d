import type { Inspected } from '../inventory/replies.ts';

/**
 * Whether a lane's outbox ends before the last entry that the ledger has read from it. This happens
 * only when Redis has lost acknowledged writes. `last` is the id of that entry, undefined when the
 * ledger has read none.
 */
export function isBehind(lane: Inspected, last: string | undefined): boolean {
  if (last === undefined) return false;
  return lane.status === 'missing' || compareIds(lane.lastEvent, last) < 0;
}

/** Orders two stream ids, `<ms>-<sequence>`. */
export function compareIds(a: string, b: string): number {
  const [aMs = 0, aSeq = 0] = a.split('-').map(Number);
  const [bMs = 0, bSeq = 0] = b.split('-').map(Number);
  return aMs - bMs || aSeq - bSeq;
}
