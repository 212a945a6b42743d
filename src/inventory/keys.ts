import { dropCode, type LaneRef } from '../domain/ids.ts';

/** Every key a lane has; lua/README.md says what each holds. */
export const laneKeyNames = [
  'rules',
  'stock',
  'orders',
  'buyers',
  'holds',
  'edits',
  'outbox',
  'appointments',
] as const;
export type LaneKey = (typeof laneKeyNames)[number];

/** The one place where keys are built. The hash tag keeps a lane in one slot of a cluster. */
export function laneKey(namespace: string, ref: LaneRef, name: LaneKey): string {
  return `${namespace}:{${dropCode(ref.drop)}:${ref.lane}}:${name}`;
}
