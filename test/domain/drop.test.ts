import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  type Decision,
  type DropAction,
  type DropState,
  decide,
  decisions,
  dropState,
} from '../../src/domain/drop.ts';
import { testSeed } from '../support/seed.ts';

const window = { startsAt: 1_000, endsAt: 2_000 };
const before = 999;
const during = 1_500;
const after = 2_000;
const actions: DropAction[] = ['publish', 'pause', 'resume', 'end', 'cancel'];

test.for<[Decision, number, DropState]>([
  ['draft', during, 'draft'],
  ['live', before, 'scheduled'],
  ['live', 1_000, 'open'],
  ['live', 1_999, 'open'],
  ['live', 2_000, 'ended'],
  ['paused', before, 'paused'],
  ['paused', during, 'paused'],
  ['paused', after, 'ended'],
  ['ended', before, 'ended'],
  ['cancelled', during, 'cancelled'],
  ['cancelled', after, 'cancelled'],
])('A drop with the decision %s is, at %i, %s', ([decision, now, state]) => {
  expect(dropState({ ...window, decision }, now)).toBe(state);
});

test.for<[DropAction, Partial<Record<Decision, Decision>>]>([
  ['publish', { draft: 'live' }],
  ['pause', { live: 'paused' }],
  ['resume', { paused: 'live' }],
  ['end', { live: 'ended', paused: 'ended' }],
  ['cancel', { draft: 'cancelled', live: 'cancelled', paused: 'cancelled' }],
])('The action %s moves a drop only from the states that allow it', ([action, moves]) => {
  const targets = new Set(Object.values(moves));
  for (const decision of decisions) {
    const decided = decide({ ...window, decision }, action, during);
    const to = moves[decision];
    if (to) expect(decided, decision).toEqual({ kind: 'move', to });
    else {
      const kind = targets.has(decision) ? 'already' : 'refused';
      expect(decided, decision).toEqual({ kind });
    }
  }
});

test('After its window a drop can only be ended', () => {
  for (const decision of ['live', 'paused'] as const) {
    for (const action of actions) {
      const { kind } = decide({ ...window, decision }, action, after);
      expect(kind === 'move', `${action} of ${decision}`).toBe(action === 'end');
    }
  }
});

test('A draft whose window is over can be cancelled and not published', () => {
  const kinds = (['publish', 'cancel'] as const).map(
    (action) => decide({ ...window, decision: 'draft' }, action, after).kind,
  );
  expect(kinds).toEqual(['refused', 'move']);
});

test('A repeated action changes nothing', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...decisions),
      fc.constantFrom(...actions),
      fc.integer({ min: 0, max: 3_000 }),
      (decision, action, now) => {
        const first = decide({ ...window, decision }, action, now);
        if (first.kind !== 'move') return;
        const again = decide({ ...window, decision: first.to }, action, now);
        expect(again).toEqual({ kind: 'already' });
      },
    ),
    { seed: testSeed('drop decisions') },
  );
});

test('A drop that has ended or was cancelled stays so', () => {
  for (const decision of ['ended', 'cancelled'] as const) {
    for (const action of actions) {
      expect(decide({ ...window, decision }, action, during).kind).not.toBe('move');
    }
  }
});
