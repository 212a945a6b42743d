import { dropCode, type LaneRef } from '../domain/ids.ts';

/** The names of a lane's keys; lua/README.md lists what each holds. */
export const laneKeyNames = [
  'rules',
  'stock',
  'orders',
  'buyers',
  'holds',
  'lapses',
  'edits',
  'outbox',
  'details',
  'appointments',
] as const;
export type LaneKey = (typeof laneKeyNames)[number];

/** Builds a lane's key. The hash tag keeps all keys of a lane in one slot of a cluster. */
export function laneKey(namespace: string, ref: LaneRef, name: LaneKey): string {
  return `${namespace}:{${dropCode(ref.drop)}:${ref.lane}}:${name}`;
}
