import { expect, test } from 'vitest';
import { openProviderNotifications } from '../../src/checkout/notifications.ts';
import { systemClock } from '../../src/domain/clock.ts';
import { openNotifications } from '../../src/ledger/payments/notifications.ts';
import type { PaymentProvider } from '../../src/payments/provider.ts';
import { openPaymentMetrics } from '../../src/settlement/metrics/payment-metrics.ts';
import { createDrop, orderOf } from '../ledger/samples.ts';
import { openTestLedger } from '../support/test-ledger.ts';

const raw = { headers: {}, body: Buffer.alloc(0) };

/** A provider whose messages are read by what is given. */
function aDesk(read: PaymentProvider['readNotification']) {
  const provider = {
    name: 'slow',
    readNotification: read,
    answerNotification: (verdict: string) => ({ status: 200, body: verdict }),
  } as unknown as PaymentProvider;
  return openProviderNotifications({
    notifications: { take: () => new Promise(() => {}), aboutPayment: async () => undefined },
    providers: new Map([['slow', provider]]),
    counts: openPaymentMetrics(undefined, new Map()),
    clock: systemClock,
    log: { warn() {} } as never,
    answerMsMax: 50,
  });
}

test('a provider is answered in its time when keys or ledger do not answer in theirs', async () => {
  const keyless = aDesk(() => new Promise(() => {}));
  expect(await keyless.take('slow', raw)).toMatchObject({ body: 'unavailable' });
  const told = { kind: 'verified' as const, id: '1', reference: 'fd', sentAt: 0, about: 'paid' };
  const bookless = aDesk(async () => told);
  expect(await bookless.take('slow', raw)).toMatchObject({ body: 'unavailable' });
});

test('nobody sends notifications by a name that is not configured', async () => {
  expect(await aDesk(undefined).take('slow', raw)).toBeUndefined();
  expect(await aDesk(undefined).take('nobody', raw)).toBeUndefined();
});

test('An alarm names the order or the top-up, the payment, its amount and what an operator has to do', async () => {
  const ledger = await openTestLedger();
  const { payments, topUps, database } = ledger;
  const { id, drop, amount } = orderOf(await createDrop(ledger));
  const topUp = { buyer: 'ann', amount: 5_000, currency: 'CNY', key: 'k' };
  const created = await topUps.create(topUp, { openMax: 9, since: 0 });
  if (created.kind !== 'done') throw new Error(created.kind);
  const provider = 'stripe';
  const begun = await payments.begin([
    { orderId: id, drop, amount, currency: 'CNY', provider },
    { orderId: created.topUp.id, drop: '', amount: 5_000, currency: 'CNY', provider },
  ]);
  const told: object[] = [];
  for (const { reference } of begun) {
    for (const alarm of ['dispute', 'fraud_warning'] as const) {
      const notified = { reference, alarm, id: `${reference}${alarm}`, sentAt: 0, about: 'charge' };
      const desk = openProviderNotifications({
        notifications: openNotifications(database),
        providers: new Map([
          [
            provider,
            {
              name: provider,
              readNotification: async () => ({ kind: 'verified', ...notified }),
              answerNotification: (verdict: string) => ({ status: 200, body: verdict }),
            } as unknown as PaymentProvider,
          ],
        ]),
        counts: openPaymentMetrics(undefined, new Map()),
        clock: systemClock,
        log: { error: (about: object, msg: string) => told.push({ ...about, msg }) } as never,
      });
      expect(await desk.take(provider, raw)).toMatchObject({ body: 'taken' });
    }
  }
  const [one, two] = begun.map(({ reference }) => reference);
  const ofOrder = { order: id, payment: one, amount, currency: 'CNY' };
  const ofTopUp = { topUp: created.topUp.id, payment: two, amount: 5_000, currency: 'CNY' };
  expect(told).toMatchObject([
    { ...ofOrder, msg: expect.stringContaining('answer at the provider') },
    { ...ofOrder, msg: expect.stringContaining('decide whether to refund the order') },
    { ...ofTopUp, msg: expect.stringContaining('The wallet keeps its money') },
    { ...ofTopUp, msg: expect.stringContaining('decide whether to refund it at the provider') },
  ]);
  await ledger.close();
});
