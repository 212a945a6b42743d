import type { Scenario } from './scenario.ts';

export const mi3Wechat2013: Scenario = {
  name: 'mi3-wechat-2013',
  title: 'Mi3 on WeChat, 28 November 2013',
  story:
    'A hundred and fifty thousand phones inside a chat application: the appointment is made there, and people come over minutes rather than at one stroke.',
  real: {
    title: 'Mi3 on WeChat',
    date: '2013-11-28',
    units: 150_000,
    appointments: undefined,
    soldOutMs: 595_000,
    source: 'press: 9 min 55 s; the number of appointments is not known',
  },
  parameters: {
    units: 150_000,
    people: 300_000,
    punctual: 0.04,
    crowdMs: 120_000,
    feedMs: 150_000,
    stream: 0.1,
  },
};
