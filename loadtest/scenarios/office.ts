import type { Scenario } from './scenario.ts';

export const office: Scenario = {
  name: 'office',
  title: 'An office behind one address',
  story:
    'Thousands of buyers share one address and few connections: nobody may be refused for what a neighbour does.',
  parameters: {
    units: 3_000,
    people: 4_000,
    punctual: 0.9,
    reactionMs: 1_000,
    feedMs: 5_000,
    crowdMs: 20_000,
    connections: 64,
    looks: 4,
  },
};
