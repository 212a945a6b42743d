import type { Inspected } from '../inventory/replies.ts';

/**
 * Whether a lane's outbox ends before what the ledger has read of it, which can only be when Redis
 * has lost what it had told. `last` is the ledger's position, undefined when it has read nothing.
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
