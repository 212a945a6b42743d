import type { Scenario } from './scenario.ts';

export const soldOutStorm: Scenario = {
  name: 'sold-out-storm',
  title: 'A million people too late',
  story:
    'A hundred units are gone at once, and a million people still press Buy: what a refusal costs.',
  parameters: {
    units: 100,
    people: 1_000_000,
    punctual: 0.002,
    feedMs: 1e9,
    crowdMs: 180_000,
    leadMs: 2_000,
    doubleTap: 0,
    short: 0,
    cancel: 0,
  },
};
