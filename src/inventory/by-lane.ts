import type { LaneRef, OrderRef } from '../domain/ids.ts';

/** Groups order places by their lane, since one call reaches one lane. */
export function byLane<T extends OrderRef>(places: T[]): { ref: LaneRef; places: T[] }[] {
  const groups = new Map<string, { ref: LaneRef; places: T[] }>();
  for (const place of places) {
    const name = `${place.drop}:${place.lane}`;
    const group = groups.get(name);
    if (group) group.places.push(place);
    else groups.set(name, { ref: { drop: place.drop, lane: place.lane }, places: [place] });
  }
  return [...groups.values()];
}
