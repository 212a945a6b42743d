import type { FirstLook } from './comparing.ts';
import {
  type Difference,
  type DifferenceKind,
  differenceKinds,
  type Finding,
  keyOf,
} from './differences.ts';

/** What a comparison of the books came to; times as ISO 8601. */
export type ReconciliationReport = {
  since: string;
  startedAt: string;
  endedAt: string;
  /** `clean`: nothing differed; `repaired`: nothing does any more; `alarm`: somebody has to look. */
  outcome: 'clean' | 'repaired' | 'alarm';
  compared: FirstLook['compared'];
  /** Alarms first; no more of them than a person would read. */
  differences: Difference[];
  /** Those that are not listed. */
  further: number;
  /** How many of each kind, repaired or not. */
  kinds: Partial<Record<DifferenceKind, number>>;
  /** Alarms among them. */
  alarms: Partial<Record<DifferenceKind, number>>;
  notCompared: FirstLook['notCompared'];
};

const differencesMax = 500;

/** `before`: what differed at two looks. `after`: what still does once it was repaired. */
export function reportOf(run: {
  startedAt: number;
  endedAt: number;
  since: number;
  first: FirstLook;
  before: readonly Finding[];
  after: readonly Finding[];
}): ReconciliationReport {
  const { startedAt, endedAt, since, first, before } = run;
  const after = new Map(run.after.map((finding) => [keyOf(finding), finding]));
  const seen = new Set<string>();
  const differences = oneForEachSilence(before).flatMap((finding): Difference[] => {
    const { repair: _, patient: __, ...difference } = finding;
    const key = keyOf(finding);
    const still = after.get(key);
    // Asked again and still on its way: the provider says so, and so do we.
    if (seen.has(key) || still?.patient) return [];
    seen.add(key);
    const isThere = still !== undefined || finding.kind === 'provider_silent';
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

/** A provider that is away is one alarm, however many payments wait for its word. */
function oneForEachSilence(findings: readonly Finding[]): Finding[] {
  const isSilence = ({ kind }: Finding) => kind === 'provider_silent';
  const silent = Map.groupBy(findings.filter(isSilence), ({ provider }) => provider);
  const told = [...silent].map(([provider, group]): Finding => {
    const why = group[0]?.says.provider ?? '';
    const says = { ledger: `${group.length} payments to ask about`, provider: why };
    return { kind: 'provider_silent', order: '', payment: '', provider, says };
  });
  return [...findings.filter((finding) => !isSilence(finding)), ...told];
}
