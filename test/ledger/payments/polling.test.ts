import { describe, expect, it } from 'vitest';
import { openNotifications } from '../../../src/ledger/payments/notifications.ts';
import { paymentReference } from '../../../src/ledger/payments/row.ts';
import { onEachLedger } from '../../support/ledgers.ts';
import { createDrop, orderOf } from '../samples.ts';

onEachLedger((ledger) => {
  const provider = 'stripe';
  const dayMs = 86_400_000;

  /** A payment that a buyer began elsewhere, asked about first at `nextPollAt`. */
  async function begun(nextPollAt: number, payableUntil = nextPollAt + 600_000) {
    const { id: orderId, drop, amount } = orderOf(await createDrop(ledger()));
    const start = { orderId, drop, provider, amount, currency: 'CNY', payableUntil, nextPollAt };
    await ledger().payments.begin([start]);
    return { orderId, reference: paymentReference(orderId, 1, provider), amount };
  }

  async function find(reference: string) {
    const [payment] = await ledger().payments.find([reference]);
    if (!payment) throw new Error(`there is no ${reference}`);
    return payment;
  }

  async function takeDuePolls(busy: string[] = []) {
    const due = await ledger().payments.takeDuePolls({ now: Date.now(), limit: 100, busy });
    return [...due.values()].flat();
  }

  function aNotification(payment: string, id: string) {
    return { provider, id, payment, about: 'paid', sentAt: Date.now() };
  }

  describe('Payment polling', () => {
    it('A due poll is taken by one of many processes, and the next poll is set at once', async () => {
      const { orderId, reference } = await begun(Date.now() - 1);
      const later = await begun(Date.now() + 60_000);
      const turns = Array.from({ length: 5 }, () => takeDuePolls());
      const taken = (await Promise.all(turns)).flat();
      expect(taken.filter((id) => id === orderId)).toHaveLength(1);
      expect(taken).not.toContain(later.orderId);
      expect((await find(reference)).nextPollAt).toBeGreaterThan(Date.now() + 1_000);
    });

    it('A poll stays due while its provider is busy', async () => {
      const { orderId } = await begun(Date.now() - 1);
      expect(await takeDuePolls([provider])).not.toContain(orderId);
      expect(await takeDuePolls(['alipay'])).toContain(orderId);
    });

    it('A poll that closes a payment is repeated soon without an answer, however many polls came before', async () => {
      const { reference } = await begun(Date.now() - 1, Date.now() - 1);
      await ledger().database.query(`update payments set looks = 10 where reference = $1`, [
        reference,
      ]);
      await takeDuePolls();
      expect((await find(reference)).nextPollAt).toBeLessThan(Date.now() + 2_000);
    });

    it('An open payment is polled at the end of its time to pay, however long the interval has grown', async () => {
      const until = Date.now() + 1_000;
      const { reference } = await begun(Date.now() - 1, until);
      await takeDuePolls();
      expect((await find(reference)).nextPollAt).toBe(until);
    });

    it('A notification never postpones a due poll, even from a process whose clock is ahead', async () => {
      const dueAt = Date.now() - 1_000;
      const { reference } = await begun(dueAt);
      const ahead = openNotifications(ledger().database, { now: () => Date.now() + 3_600_000 });
      await ledger().notifications.take(aNotification(reference, `here ${reference}`));
      await ahead.take(aNotification(reference, `ahead ${reference}`));
      expect((await find(reference)).nextPollAt).toBeLessThanOrEqual(dueAt);
    });

    it('A notification has a payment polled even after its last scheduled poll', async () => {
      const { orderId, reference } = await begun(Date.now() - 1);
      await ledger().payments.record([{ reference, state: 'declined', nextPollAt: 1 }]);
      const { database, notifications } = ledger();
      await database.query(
        `update payments set declined_at = declined_at - ${2 * dayMs}, look_at = null
         where reference = $1`,
        [reference],
      );
      expect(await notifications.take(aNotification(reference, `late ${reference}`))).toBe('new');
      expect(await takeDuePolls()).toContain(orderId);
    });

    it('A closed payment keeps its polling schedule, however many notifications arrive', async () => {
      const { reference } = await begun(Date.now() - 1);
      await ledger().payments.record([{ reference, state: 'declined', nextPollAt: 1 }]);
      const { notifications, payments } = ledger();
      const declinedAt = (await find(reference)).declinedAt ?? 0;
      for (let nth = 0; nth < 10; nth += 1) {
        await notifications.take(aNotification(reference, 'the same again'));
        await takeDuePolls();
        await payments.record([{ reference, state: 'declined' }]);
      }
      expect((await find(reference)).nextPollAt).toBe(declinedAt + 60_000);
    });

    it('A poll of a closed payment without an answer is repeated, and polling ends only after an answer', async () => {
      const { reference } = await begun(Date.now() - 1);
      const { database, payments } = ledger();
      await payments.record([{ reference, state: 'declined', nextPollAt: 1 }]);
      await takeDuePolls();
      expect((await find(reference)).nextPollAt).toBeLessThan(Date.now() + 16_000);
      await database.query(
        `update payments set declined_at = declined_at - ${2 * dayMs}, look_at = 1
         where reference = $1`,
        [reference],
      );
      await takeDuePolls();
      expect((await find(reference)).nextPollAt).toBeGreaterThan(Date.now() + dayMs / 4);
      await payments.record([{ reference, state: 'declined' }]);
      expect((await find(reference)).nextPollAt).toBeNull();
    });

    it('A poll that falls due while a closed payment is being answered for stays due', async () => {
      const { orderId, reference } = await begun(Date.now() - 1);
      const { notifications, payments } = ledger();
      await payments.record([{ reference, state: 'declined', nextPollAt: 1 }]);
      await takeDuePolls();
      await notifications.take(aNotification(reference, `between ${reference}`));
      await payments.record([{ reference, state: 'declined' }]);
      expect(await takeDuePolls()).toContain(orderId);
    });

    it('A closed payment is polled for the last time 26 hours after its end', async () => {
      const { reference } = await begun(Date.now() - 1);
      const { database, payments } = ledger();
      await payments.record([{ reference, state: 'declined', nextPollAt: 1 }]);
      const polls: number[] = [];
      for (let at: number | null = 1; at !== null && polls.length < 20; ) {
        await takeDuePolls();
        await payments.record([{ reference, state: 'declined' }]);
        const { nextPollAt, declinedAt } = await find(reference);
        if (nextPollAt !== null) polls.push(Math.round((nextPollAt - (declinedAt ?? 0)) / 60_000));
        at = nextPollAt;
        // Moves the payment's end into the past, as far as the next poll was ahead.
        await database.query(
          `update payments set look_at = 1, declined_at = $2::bigint - ($3::bigint - declined_at)
           where reference = $1 and look_at is not null`,
          [reference, Date.now(), nextPollAt],
        );
      }
      expect(polls).toEqual([1, 2, 8, 44, 240, 1_560]);
    });
  });

  describe('Notifications', () => {
    it('A notification is new once, then a repeat, and makes a poll due at once', async () => {
      const { orderId, reference, amount } = await begun(Date.now() + 60_000);
      const { notifications } = ledger();
      const told = { ...aNotification(reference, `n ${reference}`), amount, currency: 'CNY' };
      const verdicts = await Promise.all(
        Array.from({ length: 20 }, () => notifications.take(told)),
      );
      expect(verdicts.filter((verdict) => verdict === 'new')).toHaveLength(1);
      expect(verdicts.filter((verdict) => verdict === 'repeated')).toHaveLength(19);
      expect(await takeDuePolls()).toContain(orderId);
    });

    it('A notification that does not match its payment changes nothing', async () => {
      const { reference, amount } = await begun(Date.now() + 60_000);
      const { notifications } = ledger();
      const before = await find(reference);
      const told = aNotification(reference, `wrong ${reference}`);
      const take = (change: object) => notifications.take({ ...told, ...change });
      expect(await take({ amount: amount + 1 })).toBe('other_amount');
      expect(await take({ currency: 'USD' })).toBe('other_currency');
      expect(await take({ provider: 'alipay' })).toBe('unknown_order');
      expect(await take({ payment: 'fd00' })).toBe('unknown_order');
      expect(await find(reference)).toEqual(before);
      expect(await take({})).toBe('new');
    });
  });
});
