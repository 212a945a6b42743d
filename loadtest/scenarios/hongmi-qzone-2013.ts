import type { Scenario } from './scenario.ts';

export const hongmiQzone2013: Scenario = {
  name: 'hongmi-qzone-2013',
  title: 'Hongmi on Qzone, 12 August 2013',
  story:
    'A hundred thousand phones and 7.45 million appointments, gone in a minute and a half: the largest register of buyers of these sales.',
  real: {
    title: 'Hongmi on Qzone',
    date: '2013-08-12',
    units: 100_000,
    appointments: 7_450_000,
    soldOutMs: 90_000,
    source: 'press',
  },
  parameters: {
    units: 100_000,
    people: 350_000,
    appointments: 7_450_000,
    uninvited: 0.01,
    punctual: 0.08,
    feedMs: 40_000,
    bots: 50,
  },
};
