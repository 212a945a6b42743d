import { expect, test } from 'vitest';
import { appointmentOpening, importOpening } from '../../src/drops/appointment-rules.ts';

const window = { from: 100, until: 200 };
const drop = { appointment: window, decision: 'live', startsAt: 300, endsAt: 400 } as const;

test('Appointments are open from the start of their window until its end', () => {
  const at = (now: number) => appointmentOpening(drop, { now, state: 'scheduled' });
  expect(at(99)).toEqual({ kind: 'not_open', window, opensInMs: 1 });
  expect(at(100)).toEqual({ kind: 'open' });
  expect(at(199)).toEqual({ kind: 'open' });
  expect(at(200)).toEqual({ kind: 'closed', window });
});

test('Appointments are closed for a drop that is over, and not offered where none are needed', () => {
  for (const state of ['ended', 'cancelled'] as const) {
    expect(appointmentOpening(drop, { now: 150, state })).toEqual({ kind: 'closed', window });
    expect(appointmentOpening(drop, { now: 50, state })).toEqual({ kind: 'closed', window });
  }
  expect(appointmentOpening({}, { now: 150, state: 'open' })).toEqual({ kind: 'not_offered' });
});

test('A list can be imported for a published drop until it is over, in its window or not', () => {
  for (const now of [0, 150, 250, 399]) expect(importOpening(drop, now)).toEqual({ kind: 'open' });
  expect(importOpening(drop, 400)).toEqual({ kind: 'refused', state: 'ended' });
  const draft = { ...drop, decision: 'draft' } as const;
  expect(importOpening(draft, 150)).toEqual({ kind: 'refused', state: 'draft' });
  const plain = { ...drop, appointment: undefined };
  expect(importOpening(plain, 150)).toEqual({ kind: 'not_offered' });
});
