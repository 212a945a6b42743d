import { problems } from '../../src/http/problems/problems.ts';
import type { Latency, SpikeRecord } from './record.ts';

/** What became of every Buy that was sent, tries again included; each is counted once. */
export type Felt = {
  buys: number;
  /** Got a unit, or the answer that an earlier try with the same key had got. */
  accepted: number;
  /** Refused for a reason that decides, such as sold_out. */
  refused: number;
  /** Sent away undecided: overloaded, and every other 429 and 5xx. */
  turnedAway: number;
  /** No answer within the buyer's patience, or a broken connection. */
  unanswered: number;
  /** From the scheduled start; who got no answer is in neither. */
  acceptedLatency: Latency | undefined;
  refusedLatency: Latency | undefined;
  /** `swift` when the engine kept its word: decided at once, and nearly nobody was sent away. */
  grade: 'swift' | 'slow' | 'overloaded';
};

/** Each buyer is to learn within a second whether a unit is theirs. */
export const learnedWithinMs = 1_000;
/** The share of Buys that may be sent away or left without an answer in a run that counts as served. */
export const undecidedShareMax = 0.01;

export function feltIn({ outcome, latency }: SpikeRecord): Felt {
  const sums = { refused: 0, turnedAway: 0, unanswered: 0 };
  for (const [code, n] of Object.entries(outcome.refused)) sums[kindOf(code)] += n;
  const accepted = outcome.accepted + outcome.replayed;
  const buys = accepted + sums.refused + sums.turnedAway + sums.unanswered;
  const { buy_accepted: acceptedLatency, buy_refused: refusedLatency } = latency;
  const slowest = Math.max(acceptedLatency?.p99 ?? 0, refusedLatency?.p99 ?? 0);
  const undecided = sums.turnedAway + sums.unanswered;
  let grade: Felt['grade'] = slowest > learnedWithinMs ? 'slow' : 'swift';
  if (undecided > buys * undecidedShareMax) grade = 'overloaded';
  return { buys, accepted, ...sums, acceptedLatency, refusedLatency, grade };
}

/** A code of the catalogue, or `http_` and the status of an answer that had none. */
function kindOf(code: string): 'refused' | 'turnedAway' | 'unanswered' {
  if (code === 'no_answer') return 'unanswered';
  const known: Record<string, { status: number } | undefined> = problems;
  const status = known[code]?.status ?? Number(code.replace('http_', ''));
  return status >= 500 || status === 429 ? 'turnedAway' : 'refused';
}
