import type { Scenario } from './scenario.ts';

export const mi2Weibo2012: Scenario = {
  name: 'mi2-weibo-2012',
  title: 'Mi-2 on the microblog, noon of 21 December 2012',
  story:
    'Fifty thousand phones for people who had made an appointment on the two days before, paid from the wallet of the microblog. A part of them waits for noon; the rest meets the card in the stream, and reposts bring more.',
  real: {
    title: 'Mi-2 on Weibo',
    date: '2012-12-21',
    units: 50_000,
    appointments: 1_300_000,
    soldOutMs: 300_000,
    source: 'press: "just over five minutes"; exact seconds not found',
  },
  parameters: {
    units: 50_000,
    people: 300_000,
    appointments: 1_300_000,
    uninvited: 0.01,
    punctual: 0.06,
    waves: 3,
    waveShare: 0.06,
    bots: 20,
  },
};
