import type { Parameters } from './parameters.ts';
import { openRandom, type Random } from './random.ts';

/** The buyers, in groups whose tokens one request can mint. */
export type Group = { prefix: string; first: number; count: number; kind: GroupKind };
export type GroupKind = 'people' | 'short' | 'uninvited' | 'bots';

const groupMax = 1_000;

/** Splits a crowd into groups; names are the prefix and a number from 0. */
export function groupsOf(parameters: Parameters): Group[] {
  const { people, short, bots, appointments } = parameters;
  const poor = Math.round(people * short);
  const share = appointments > 0 ? parameters.uninvited : 0;
  const uninvited = Math.min(Math.round(people * share), people - poor);
  const parts: [GroupKind, number][] = [
    ['short', poor],
    ['uninvited', uninvited],
    ['people', people - poor - uninvited],
    ['bots', bots],
  ];
  const groups: Group[] = [];
  let first = 0;
  for (const [kind, count] of parts) {
    for (let from = 0; from < count; from += groupMax) {
      const size = Math.min(groupMax, count - from);
      groups.push({ prefix: `${kind}${from / groupMax}-`, first, count: size, kind });
      first += size;
    }
  }
  return groups;
}

export const kinds = { look: 0, press: 1 } as const;

/**
 * The scheduled acts of a part of the crowd, sorted by time: at `times[i]`, ms from the opening, buyer
 * `buyers[i]` does `acts[i]`. Each buyer has an own random stream, so the schedule of a seed does not
 * depend on the number of load processes or on the engine's answers.
 */
export type Schedule = { times: Float64Array; buyers: Uint32Array; acts: Uint8Array };

export function drawSchedule(seed: number, parameters: Parameters, groups: Group[]): Schedule {
  const events: { at: number; buyer: number; act: number }[] = [];
  for (const group of groups) {
    for (let n = 0; n < group.count; n += 1) {
      const buyer = group.first + n;
      const random = openRandom(seed, buyer);
      if (group.kind === 'bots') hammer(events, buyer, random, parameters);
      else visit(events, buyer, random, parameters);
    }
  }
  events.sort((a, b) => a.at - b.at);
  return {
    times: Float64Array.from(events, (event) => event.at),
    buyers: Uint32Array.from(events, (event) => event.buyer),
    acts: Uint8Array.from(events, (event) => event.act),
  };
}

/** When the crowd's connections break, in ms from the opening: evenly, each in the middle of its part. */
export function drawRestarts({ restarts, crowdMs }: Parameters): number[] {
  return Array.from({ length: restarts }, (_, n) => ((n + 0.5) * crowdMs) / restarts);
}

type Events = { at: number; buyer: number; act: number }[];

/** One person: a press, and looks before it for those who wait for the opening. */
function visit(events: Events, buyer: number, random: Random, parameters: Parameters): void {
  const { punctual, reactionMs, reactionSigma, feedMs, crowdMs, leadMs } = parameters;
  const { waves, waveShare, waveMs } = parameters;
  const drawn = random.next();
  let at: number;
  if (drawn < punctual) {
    at = random.logNormal(reactionMs, reactionSigma);
    const looks = Math.floor(random.exponential(parameters.looks + 0.5));
    for (let n = 0; n < looks; n += 1) {
      events.push({ at: -leadMs * random.next(), buyer, act: kinds.look });
    }
  } else if (waves > 0 && drawn < punctual + waveShare) {
    const wave = Math.floor(random.next() * waves);
    at = (crowdMs / waves) * (wave + 0.25) + random.exponential(waveMs);
  } else {
    at = random.exponential(feedMs);
    // Those who would come after the replay has ended come at some time within it.
    if (at > crowdMs) at = random.next() * crowdMs;
  }
  if (at > crowdMs) at = crowdMs;
  events.push({ at, buyer, act: kinds.press });
}

function hammer(events: Events, buyer: number, random: Random, parameters: Parameters): void {
  const { leadMs, crowdMs, botMs } = parameters;
  for (let at = -leadMs / 4; at < crowdMs / 2; at += botMs * (0.5 + random.next())) {
    events.push({ at, buyer, act: kinds.press });
  }
}
