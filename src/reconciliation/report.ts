import type { FirstComparison } from './comparing.ts';
import {
  type Difference,
  type DifferenceKind,
  differenceKinds,
  type Finding,
  keyOf,
} from './differences.ts';

/** The result of one reconciliation run. Times are ISO 8601. */
export type ReconciliationReport = {
  since: string;
  startedAt: string;
  endedAt: string;
  /** `clean`: no difference. `repaired`: all differences are gone. `alarm`: an operator has to act. */
  outcome: 'clean' | 'repaired' | 'alarm';
  compared: FirstComparison['compared'];
  /** Alarms first; at most 500. */
  differences: Difference[];
  /** The number of differences beyond that. */
  further: number;
  /** How many of each kind, repaired or not. */
  kinds: Partial<Record<DifferenceKind, number>>;
  /** Alarms among them. */
  alarms: Partial<Record<DifferenceKind, number>>;
  notCompared: FirstComparison['notCompared'];
};

const differencesMax = 500;

/** `before`: found in two comparisons. `after`: still found once the repairs were done. */
export function reportOf(run: {
  startedAt: number;
  endedAt: number;
  since: number;
  first: FirstComparison;
  before: readonly Finding[];
  after: readonly Finding[];
}): ReconciliationReport {
  const { startedAt, endedAt, since, first, before } = run;
  const after = new Map(run.after.map((finding) => [keyOf(finding), finding]));
  const seen = new Set<string>();
  const differences = mergeSilences(before).flatMap((finding): Difference[] => {
    const { repair: _, inProgress: __, tells, ...difference } = finding;
    const key = keyOf(finding);
    const still = after.get(key);
    // The refund was asked for again and is still in progress: no alarm.
    if (seen.has(key) || still?.inProgress) return [];
    seen.add(key);
    const isThere = still !== undefined || tells || finding.kind === 'provider_silent';
    return [{ ...difference, done: isThere ? 'alarm' : 'repaired' }];
  });
  differences.sort((a, b) => (a.done === b.done ? 0 : a.done === 'alarm' ? -1 : 1));
  const alarms = differences.filter(({ done }) => done === 'alarm');
  const iso = (at: number) => new Date(at).toISOString();
  return {
    since: iso(since),
    startedAt: iso(startedAt),
    endedAt: iso(endedAt),
    outcome: alarms.length > 0 ? 'alarm' : differences.length > 0 ? 'repaired' : 'clean',
    compared: first.compared,
    differences: differences.slice(0, differencesMax),
    further: Math.max(0, differences.length - differencesMax),
    kinds: countOf(differences),
    alarms: countOf(alarms),
    notCompared: first.notCompared,
  };
}

function countOf(differences: readonly Difference[]): Partial<Record<DifferenceKind, number>> {
  const counts: Partial<Record<DifferenceKind, number>> = {};
  for (const kind of differenceKinds) {
    const count = differences.filter((difference) => difference.kind === kind).length;
    if (count > 0) counts[kind] = count;
  }
  return counts;
}

/** A provider that does not answer is one alarm, however many payments it was asked about. */
function mergeSilences(findings: readonly Finding[]): Finding[] {
  const isSilence = ({ kind }: Finding) => kind === 'provider_silent';
  const silent = Map.groupBy(findings.filter(isSilence), ({ provider }) => provider);
  const merged = [...silent].map(([provider, group]): Finding => {
    const why = group[0]?.says.provider ?? '';
    const says = { ledger: `${group.length} payments to ask about`, provider: why };
    return { kind: 'provider_silent', order: '', payment: '', provider, says };
  });
  return [...findings.filter((finding) => !isSilence(finding)), ...merged];
}
