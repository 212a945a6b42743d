import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { serveSimulator } from '../../simulators/server.ts';
import { openStripeProtocol } from '../../simulators/stripe.ts';

test('A simulated provider that starts again knows every payment and refund of before', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'flashdrop-test-books-'));
  const file = join(folder, 'stripe.json');
  const publicUrl = 'http://127.0.0.1:9';
  try {
    const first = await serveSimulator(openStripeProtocol(), { seed: 1, publicUrl, file });
    for (const reference of ['paid', 'open']) {
      const { book } = first;
      book.open({ reference, amount: 500, currency: 'USD', notifyUrl: publicUrl, expiresAt: 4e12 });
    }
    first.book.capture('paid');
    first.book.refund('paid', { reference: 'back', amount: 200 });
    const before = structuredClone(first.book.all());
    await first.stop();
    const second = await serveSimulator(openStripeProtocol(), { seed: 2, publicUrl, file });
    expect(second.book.all()).toEqual(before);
    expect(second.book.capture('open')).toBe('captured');
    expect(second.book.refund('paid', { reference: 'back', amount: 200 }).kind).toBe('already');
    await second.stop();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
