import type { Scenario } from './scenario.ts';

export const redmi1sIndia2014: Scenario = {
  name: 'redmi1s-india-2014',
  title: 'Redmi 1S in India, 2014',
  story:
    'Forty thousand phones in 4.2 seconds, 9,524 units a second: nobody comes by chance, everybody presses within the first seconds.',
  real: {
    title: 'Redmi 1S in India',
    date: '2014',
    units: 40_000,
    appointments: undefined,
    soldOutMs: 4_200,
    source: 'press: 40,000 in 4.2 s',
  },
  parameters: {
    units: 40_000,
    people: 60_000,
    punctual: 0.97,
    reactionMs: 1_500,
    reactionSigma: 0.5,
    looks: 0.5,
    crowdMs: 15_000,
    feedMs: 5_000,
    short: 0,
    cancel: 0,
  },
};
