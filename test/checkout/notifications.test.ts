import { expect, test } from 'vitest';
import { openProviderNotifications } from '../../src/checkout/notifications.ts';
import { systemClock } from '../../src/domain/clock.ts';
import type { PaymentProvider } from '../../src/payments/provider.ts';
import { openPaymentMetrics } from '../../src/settlement/metrics/payment-metrics.ts';

const raw = { headers: {}, body: Buffer.alloc(0) };

/** A provider whose messages are read by what is given. */
function aDesk(read: PaymentProvider['readNotification']) {
  const provider = {
    name: 'slow',
    readNotification: read,
    answerNotification: (verdict: string) => ({ status: 200, body: verdict }),
  } as unknown as PaymentProvider;
  return openProviderNotifications({
    notifications: { take: () => new Promise(() => {}), orderOf: async () => undefined },
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
