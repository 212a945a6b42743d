import type { Group } from './schedule.ts';

const linesAtOnce = 2_000;

/** How many appointments a sale has: as many as asked for, and at least one for each who is invited. */
export function countInvited(groups: Group[], appointments: number): number {
  if (appointments === 0) return 0;
  const ofCrowd = groups.reduce((sum, { kind, count }) => {
    return kind === 'uninvited' ? sum : sum + count;
  }, 0);
  return Math.max(appointments, ofCrowd);
}

/**
 * The merchant's list as NDJSON, made while it is sent: first those of the crowd who are invited, then
 * names of people who made an appointment and never came.
 */
export function* listInvited(groups: Group[], appointments: number): Generator<string> {
  let absent = countInvited(groups, appointments);
  for (const { kind, prefix, count } of groups) {
    if (kind === 'uninvited') continue;
    yield lines(prefix, { from: 0, count });
    absent -= count;
  }
  for (let from = 0; from < absent; from += linesAtOnce) {
    yield lines('absent-', { from, count: Math.min(linesAtOnce, absent - from) });
  }
}

function lines(prefix: string, { from, count }: { from: number; count: number }): string {
  let text = '';
  for (let n = from; n < from + count; n += 1) text += `"${prefix}${n}"\n`;
  return text;
}
