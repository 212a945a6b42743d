import type { Scenario } from './scenario.ts';

export const waves: Scenario = {
  name: 'waves',
  title: 'Waves that come and go',
  story:
    'Uneven load to shake out bugs: reposts bring the crowd back six times, and three times all its connections break in the middle; many wallets are empty and many change their mind, so that units come back and are fought for again.',
  parameters: {
    units: 5_000,
    people: 40_000,
    punctual: 0.1,
    waves: 6,
    waveShare: 0.8,
    waveMs: 800,
    crowdMs: 40_000,
    doubleTap: 0.3,
    short: 0.2,
    cancel: 0.1,
    comeBack: 0.9,
    stream: 0.1,
    bots: 20,
    patienceMs: 3_000,
    restarts: 3,
  },
};
