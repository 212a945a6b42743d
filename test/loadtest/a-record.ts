import type { Moment, SpikeRecord } from '../../loadtest/record/record.ts';

const units = 5_000;
const stepMs = 500;

/** A record such as a run leaves behind, invented: for tests of what is made of it, never a result. */
export function aRecord(overrides: Partial<SpikeRecord> = {}): SpikeRecord {
  const timeline = aTimeline();
  const sum = (get: (moment: Moment) => number) => timeline.reduce((n, m) => n + get(m), 0);
  const refused: Record<string, number> = {};
  for (const moment of timeline) {
    for (const [code, n] of Object.entries(moment.refused))
      refused[code] = (refused[code] ?? 0) + n;
  }
  return {
    format: 'flashdrop-spike/1',
    scenario: {
      name: 'mi2-weibo-2012',
      title: 'A phone on a microblog, noon of 21 December 2012',
      real: {
        title: 'Mi-2 on Weibo',
        date: '21 December 2012',
        units: 50_000,
        appointments: 1_300_000,
        soldOutMs: 305_000,
        source: 'press, “just over five minutes”',
      },
    },
    parameters: { showUpShare: 0.4, punctualShare: 0.06, reactionMs: 320, doubleTapShare: 0.08 },
    plan: {
      scale: 0.1,
      speed: 1,
      seed: 20121221,
      processes: 2,
      command: 'npm run spike -- --scenario mi2-weibo-2012 --scale 0.1 --seed 20121221',
    },
    engine: {
      url: 'http://127.0.0.1:4400',
      own: true,
      redis: 'appendfsync always, embedded',
      ledger: 'embedded',
      apiProcesses: 2,
    },
    machine: { cpu: 'A CPU @ 2.6 GHz', cores: 2, memoryBytes: 8 * 2 ** 30, platform: 'linux x64' },
    versions: { flashdrop: '0.1.0', node: 'v24.21.0', redis: '7.0.15' },
    startedAt: '2026-01-02T03:04:05.000Z',
    sale: {
      drop: 'drp_0123456789',
      units,
      appointments: 130_000,
      buyers: 52_000,
      importMs: 4_210,
    },
    pacing: {
      valid: true,
      reason: undefined,
      scheduled: sum(({ scheduled }) => scheduled),
      sent: sum(({ sent }) => sent),
      behindMs: { p50: 0.6, p99: 11.2, max: 74 },
    },
    outcome: {
      requests: sum(({ sent, followUps }) => sent + followUps),
      followUps: sum(({ followUps }) => followUps),
      accepted: sum(({ accepted }) => accepted),
      replayed: sum(({ replayed }) => replayed),
      refused,
      firstAcceptedAtMs: 41,
      allAcceptedAtMs: 6_820,
      acceptedPerSecondPeak: 1_388,
      settledAtMs: 31_400,
    },
    timeline,
    latency: {
      look: { count: 61_022, p50: 1.2, p90: 4.4, p99: 21, p999: 88, max: 132 },
      buy_accepted: { count: units, p50: 6.1, p90: 24, p99: 71, p999: 160, max: 204 },
      buy_refused: { count: 52_200, p50: 0.9, p90: 3.8, p99: 17, p999: 66, max: 119 },
      poll: { count: 14_220, p50: 1.4, p90: 5.1, p99: 24, p999: 90, max: 140 },
      cancel: { count: 101, p50: 4.2, p90: 11, p99: 38, p999: 44, max: 44 },
    },
    verdict: {
      clean: true,
      points: [
        {
          point: 'A',
          promise: 1,
          title: 'available + held + sold is the allotment',
          ok: true,
          figures: { available: 0, held: 0, sold: units, allotment: units },
        },
        {
          point: 'C',
          promise: 4,
          title: 'money captured is the price of the order',
          ok: true,
          figures: { orders: units, captured: 999_500_000, refunded: 0 },
        },
        {
          point: 'audit',
          promise: 10,
          title: 'the engine finds no difference',
          ok: true,
          figures: { settled: 1, findings: 0 },
        },
      ],
      breaches: [],
    },
    ...overrides,
  };
}

/** 12 s before the opening, a peak right after it, a tail, and a settlement that catches up. */
function aTimeline(): Moment[] {
  const timeline: Moment[] = [];
  let [available, sold, paid] = [units, 0, 0];
  for (let atMs = -12_000; atMs < 48_000; atMs += stepMs) {
    const seconds = atMs / 1_000;
    const wave = 1 + 0.12 * Math.sin(atMs / 700);
    const looks = Math.round((seconds < 0 ? 900 + 60 * (12 + seconds) : 500) * wave * 0.5);
    const buys = seconds < 0 ? 0 : Math.round((5_200 * Math.exp(-seconds / 6) + 380) * wave * 0.5);
    const accepted = Math.min(available, Math.round(buys * 0.32));
    available -= accepted;
    sold += accepted;
    const settled = Math.min(sold - paid, 190);
    paid += settled;
    const left = buys - accepted;
    const early = seconds < -3 ? 0 : Math.round(70 * wave);
    const crowded = Math.min(1, buys / 2_400);
    timeline.push({
      atMs,
      stepMs,
      looks,
      accepted,
      scheduled: looks + buys + early,
      sent: looks + buys + early - (buys > 2_500 ? 12 : 0),
      followUps: Math.round(accepted * 1.4),
      replayed: Math.round(accepted * 0.06),
      refused: {
        ...(seconds < 0 && early > 0 ? { drop_not_open: early } : {}),
        ...(left > 0
          ? available > 0
            ? { buyer_limit: Math.round(left * 0.2), overloaded: Math.round(left * 0.8) }
            : { sold_out: Math.round(left * 0.9), no_appointment: Math.round(left * 0.1) }
          : {}),
      },
      latency: {
        look: { p50: 0.9 + crowded, p99: 6 + 40 * crowded * wave, max: 130 },
        ...(accepted > 0
          ? { buy_accepted: { p50: 3 + 14 * crowded, p99: 22 + 60 * crowded * wave, max: 204 } }
          : {}),
        ...(left > 0
          ? { buy_refused: { p50: 0.6 + crowded, p99: 4 + 30 * crowded * wave, max: 119 } }
          : {}),
      },
      engine:
        atMs === 1_000
          ? undefined
          : {
              units: {
                available,
                held: sold - paid,
                sold: paid,
                ledger: {
                  reserved: Math.round((sold - paid) * 0.8),
                  paid: Math.max(0, paid - 40),
                  released: 0,
                  refunded: 0,
                },
                settlementLag: Math.min(40, paid),
              },
              queues: {
                outboxBacklog: Math.round((sold - paid) * 0.2),
                waiting: Math.round((sold - paid) * 0.7),
                active: sold > paid ? 32 : 0,
                delayed: 0,
              },
              processes: [
                {
                  name: 'settlement',
                  pid: 11,
                  cpu: sold > paid ? 0.5 : 0.08,
                  memoryBytes: 260 * 2 ** 20,
                },
                { name: 'api 1', pid: 12, cpu: 0.1 + 0.3 * crowded, memoryBytes: 118 * 2 ** 20 },
                { name: 'api 2', pid: 13, cpu: 0.1 + 0.28 * crowded, memoryBytes: 121 * 2 ** 20 },
                { name: 'redis', pid: 14, cpu: 0.04 + 0.16 * crowded, memoryBytes: 31 * 2 ** 20 },
                { name: 'load 1', pid: 15, cpu: 0.08 + 0.2 * crowded, memoryBytes: 140 * 2 ** 20 },
                { name: 'load 2', pid: 16, cpu: 0.08 + 0.2 * crowded, memoryBytes: 144 * 2 ** 20 },
              ],
            },
    });
  }
  return timeline;
}
