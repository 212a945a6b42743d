import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { problems } from '../src/http/problems/catalogue.ts';
import { startTestEngine, type TestEngine } from './support/engine.ts';
import { eventually } from './support/eventually.ts';
import { faultsOf, type Sample, samplesOf } from './support/metrics-page.ts';
import { sharedRedisUrl } from './support/redis.ts';

let engine: TestEngine;
let atStart: Sample[];

beforeAll(async () => {
  engine = await startTestEngine({
    redisUrl: sharedRedisUrl(),
    payments: {
      FLASHDROP_STRIPE_SECRET_KEY: 'sk_test_1',
      FLASHDROP_STRIPE_WEBHOOK_SECRET: 'whsec_1',
    },
  });
  atStart = samplesOf(await engine.deps.metrics.text());
});
afterAll(() => engine?.stop());

const own = ({ name }: Sample) => !/^flashdrop_(?:process|nodejs)_/.test(name);

describe('A page of metrics', () => {
  test('The page of metrics keeps the rules that Prometheus checks: help, type, names, base units, no series twice', async () => {
    const page = await engine.deps.metrics.text();
    expect(faultsOf(page)).toEqual([]);
    expect(samplesOf(page).length).toBeGreaterThan(100);
  });

  test('A page that breaks a rule is found out', () => {
    const wrong = [
      '# HELP a_total A.\n# TYPE a_total gauge\na_total 1',
      '# HELP a A.\n# TYPE a counter\na 1',
      '# TYPE a gauge\na 1',
      'a 1',
      '# HELP a A.\n# TYPE a gauge\na 1\na 2',
      '# HELP a_ms A.\n# TYPE a_ms gauge\na_ms 1',
    ];
    for (const page of wrong) expect(faultsOf(page), page).not.toEqual([]);
  });

  test('Every counter has each of its series at zero before anything has happened, so that an alarm sees the first event', async () => {
    const counters = [...(await engine.deps.metrics.registry.getMetricsAsJSON())].filter(
      ({ name, type }) => String(type) === 'counter' && own({ name, labels: {}, value: 0 }),
    );
    expect(counters.length).toBeGreaterThan(8);
    for (const { name } of counters) {
      const series = atStart.filter((sample) => sample.name === name);
      expect(series, name).not.toEqual([]);
      expect(
        series.map(({ value }) => value),
        name,
      ).toEqual(series.map(() => 0));
    }
    const alarms = [
      ['flashdrop_lost_lanes_total', { action: 'frozen' }],
      ['flashdrop_refunds_total', { provider: 'stripe', outcome: 'failed' }],
      ['flashdrop_payments_total', { provider: 'stripe', outcome: 'late_refunded' }],
      ['flashdrop_notifications_total', { provider: 'stripe', outcome: 'signature' }],
      ['flashdrop_notifications_total', { provider: 'stripe', outcome: 'oversized' }],
      ['flashdrop_settle_total', { outcome: 'lost' }],
      ['flashdrop_settle_total', { outcome: 'poison' }],
      ['flashdrop_relay_total', { what: 'malformed' }],
      ['flashdrop_redrive_total', { what: 'stray' }],
      ['flashdrop_reconcile_runs_total', { outcome: 'alarm' }],
      ['flashdrop_reconcile_runs_total', { outcome: 'failed' }],
    ] as const;
    for (const [name, labels] of alarms) expect(atStart).toContainEqual({ name, labels, value: 0 });
  });

  test('Buys are counted by the code that they are answered with', () => {
    const outcomes = atStart
      .filter(({ name }) => name === 'flashdrop_buys_total')
      .map(({ labels }) => labels['outcome'] ?? '');
    const codes = outcomes.filter((outcome) => outcome !== 'reserved' && outcome !== 'replayed');
    expect(codes.filter((code) => !(code in problems))).toEqual([]);
    expect(codes).toEqual(expect.arrayContaining(['drop_not_open', 'drop_paused', 'drop_frozen']));
  });

  test('The units of each open drop are on the page while it is open, and no longer', async () => {
    const merchant = await engine.merchant();
    const drop = await engine.publish(merchant.id);
    const units = async () => {
      const page = samplesOf(await engine.deps.metrics.text());
      return page.filter(({ name, labels }) => {
        return name === 'flashdrop_drop_units' && labels['drop'] === drop.id;
      });
    };
    const [item] = drop.items;
    await eventually(async () => (await units()).length > 0);
    expect(await units()).toContainEqual({
      name: 'flashdrop_drop_units',
      labels: { drop: drop.id, state: 'available' },
      value: item?.allotment,
    });
    await engine.services.publishing.act({ merchantId: merchant.id, drop: drop.id, action: 'end' });
    await eventually(async () => (await units()).length === 0);
  });
});
