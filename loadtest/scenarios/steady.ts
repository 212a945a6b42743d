import type { Scenario } from './scenario.ts';

export const steady: Scenario = {
  name: 'steady',
  title: 'A steady sale',
  story: 'Buyers arrive evenly and there is a unit for each of them: speed in good conditions.',
  parameters: {
    units: 60_000,
    people: 50_000,
    punctual: 0,
    feedMs: 1e9,
    crowdMs: 50_000,
    leadMs: 1_000,
    doubleTap: 0,
    short: 0,
    cancel: 0,
    stream: 0,
  },
};
