import { type LaneRef, parseOrderId } from '../domain/ids.ts';
import { isOfLane } from '../inventory/redis-errors.ts';
import type { Finding } from './differences.ts';

/** A lane whose keys are not what a lane's keys are, so that nothing in it was compared. */
export type UnreadLane = { ref: LaneRef; why: string };

/**
 * What `read` gives of a lane, or undefined when the lane cannot be read, which is noted in `unread`.
 * @throws any error that is not about this lane
 */
export async function readLane<T>(
  ref: LaneRef,
  unread: UnreadLane[],
  read: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (!isOfLane(error)) throw error;
    unread.push({ ref, why: String(error) });
    return undefined;
  }
}

/** The alarm of a lane that was not compared, however many of its orders were to be. */
export function laneUnreadable({ ref, why }: UnreadLane): Finding {
  const about = { order: '', payment: '', provider: '' } as const;
  return { kind: 'lane_unreadable', ...about, lane: nameOf(ref), says: { lane: why } };
}

/**
 * The findings that another comparison can neither find again nor take back, since it has not read
 * their lane. They stay as they were found, and nothing is repaired by them.
 */
export function stillOpen(findings: readonly Finding[], unread: readonly UnreadLane[]): Finding[] {
  const lanes = new Set(unread.map(({ ref }) => nameOf(ref)));
  return findings.flatMap(({ repair: _, ...finding }) => {
    if (finding.kind === 'lane_unreadable') return [finding];
    const place = finding.says.lane === undefined ? undefined : parseOrderId(finding.order);
    return place && lanes.has(nameOf(place)) ? [finding] : [];
  });
}

function nameOf({ drop, lane }: LaneRef): string {
  return `lane ${lane} of ${drop}`;
}
