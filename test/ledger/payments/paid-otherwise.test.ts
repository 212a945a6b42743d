import { describe, expect, it, test } from 'vitest';
import type { PaymentReference } from '../../../src/domain/ids.ts';
import { required } from '../../../src/domain/required.ts';
import type { Database } from '../../../src/ledger/database/database.ts';
import { migrate, readMigrations } from '../../../src/ledger/database/migrations.ts';
import { openPostgres } from '../../../src/ledger/database/postgres.ts';
import { openRefunds } from '../../../src/ledger/payments/refunds.ts';
import { eventually } from '../../support/eventually.ts';
import { aReference } from '../../support/ids.ts';
import { onEachLedger } from '../../support/ledgers.ts';
import { newDatabase, sharedPostgres } from '../../support/postgres.ts';
import { createDrop, orderOf } from '../samples.ts';

const price = 4_900;

const note = (database: Database, refund: string, at: number | null = 1) =>
  database.query('update refunds set dealt_with_at = $2 where reference = $1', [refund, at]);

onEachLedger((ledger) => {
  const payments = () => ledger().payments;

  /** A captured payment of an order. */
  async function captured(): Promise<PaymentReference> {
    const drop = await createDrop(ledger());
    const { id: orderId } = orderOf(drop);
    const start = { orderId, drop: drop.id, provider: 'wallet', amount: price, currency: 'CNY' };
    const { reference } = required((await payments().begin([start]))[0], 'payment');
    await payments().record([{ reference, state: 'captured' }]);
    return reference;
  }

  async function now(reference: PaymentReference) {
    const { state, amountRefunded, refundAskedAt } = required(
      (await payments().find([reference]))[0],
      'payment',
    );
    return { state, amountRefunded, isAsked: refundAskedAt !== null };
  }

  const results = (state: 'failed' | 'pending' | 'done', ...references: string[]) =>
    payments().recordRefunds(references.map((reference) => ({ reference, state })));
  const part = (payment: PaymentReference, amount: number, key: string) =>
    payments().askPartialRefund({ payment, amount, key, reason: '' });
  const refused =
    /refund \S+ cannot be noted as paid in another way: .* give back \d+ of 4900 .*set given_up_at instead/;

  describe('A failed refund that is noted as paid in another way', () => {
    it('is refused when a part has replaced it, and its order keeps the rest', async () => {
      const payment = await captured();
      await payments().askRefund([payment]);
      await results('failed', `${payment}r1`);
      await part(payment, 700, 'k');
      await results('done', `${payment}r2`);
      await expect(note(ledger().database, `${payment}r1`)).rejects.toThrow(refused);
      expect(await now(payment)).toEqual({
        state: 'captured',
        amountRefunded: 700,
        isAsked: false,
      });
    });

    it('is refused beside a second try of the same money that is noted, under way or done', async () => {
      const { database } = ledger();
      const payment = await captured();
      await payments().askRefund([payment]);
      await results('failed', `${payment}r1`);
      await payments().askRefund([payment], { again: true });
      await expect(note(database, `${payment}r1`)).rejects.toThrow(refused);
      await results('pending', `${payment}r2`);
      await expect(note(database, `${payment}r1`)).rejects.toThrow(refused);
      await expect(note(database, `${payment}r2`)).rejects.toThrow(/r2 is pending: only a refund/);
      await results('failed', `${payment}r2`);
      await note(database, `${payment}r2`);
      await expect(note(database, `${payment}r1`)).rejects.toThrow(refused);
      await payments().askRefund([payment], { again: true });
      expect(await payments().refundsOf([payment])).toHaveLength(2);
      expect(await now(payment)).toMatchObject({ state: 'refunded', amountRefunded: price });
      await note(database, `${payment}r2`, null);
      expect(await now(payment)).toMatchObject({ state: 'captured', amountRefunded: 0 });
    });

    it('is added up with a result that another process records at the same time', async () => {
      const { database } = ledger();
      const payment = await captured();
      await part(payment, 700, 'a');
      await part(payment, 300, 'b');
      await results('failed', `${payment}r1`);
      let noted: Promise<unknown> | undefined;
      await database.transaction(async (query) => {
        await query('select 1 from payments where reference = $1 for update', [payment]);
        await query("update refunds set state = 'done' where reference = $1", [`${payment}r2`]);
        noted = note(database, `${payment}r1`);
        const waiting = `select 1 from pg_stat_activity
          where datname = current_database() and wait_event_type = 'Lock'`;
        // The embedded database makes the other statement wait by itself.
        if (database.kind === 'postgres') {
          await eventually(async () => (await database.query(waiting)).length > 0);
        }
        await query('select add_up_refunds($1, 1)', [[payment]]);
      });
      await noted;
      expect(await now(payment)).toMatchObject({ amountRefunded: 1_000 });
    });
  });
});

const server = sharedPostgres();
test.skipIf('missing' in server)(
  'Notes that were made before they counted as paid end no order until it is asked for again, and count up to what was captured',
  async () => {
    if ('missing' in server) return;
    const database = openPostgres({ url: await newDatabase(server.url) });
    const known = readMigrations();
    try {
      await migrate(database, known.slice(0, 22));
      const payments = [
        { name: 'pay_part_1', asked: null, refunds: ['700 failed 1', '300 done'] },
        { name: 'pay_whole_1', asked: 5, refunds: ['4900 failed 1'] },
        { name: 'pay_replaced_1', asked: null, refunds: ['4900 failed 1', '700 done'] },
        { name: 'pay_twice_1', asked: 5, refunds: ['4900 failed 1', '4900 failed 1'] },
      ];
      for (const { name, asked, refunds } of payments) {
        const done = refunds.includes('700 done') ? 700 : refunds.includes('300 done') ? 300 : 0;
        await database.query(
          `insert into payments (reference, order_id, drop_id, attempt, provider, amount, currency,
             state, amount_captured, amount_refunded, started_at, refund_asked_at)
           values ($1, $1, 'drop', 1, 'wallet', 4900, 'CNY', 'captured', 4900, $2, 1, $3)`,
          [name, done, asked],
        );
        for (const [index, text] of refunds.entries()) {
          const [amount, state, noted = null] = text.split(' ');
          await database.query(
            `insert into refunds (reference, payment, number, amount, reason, state, asked_at,
               dealt_with_at) values ($1, $2, $3, $4, '', $5, 1, $6)`,
            [`${name}r${index + 1}`, name, index + 1, amount, state, noted],
          );
        }
      }
      await migrate(database, known);
      expect(
        await database.query(
          `select p.reference, p.state, refund_asked_at as asked, amount_refunded as refunded,
             count(dealt_with_at) as noted, count(given_up_at) as "givenUp"
           from payments p join refunds r on r.payment = p.reference
           group by p.reference order by p.reference`,
        ),
      ).toEqual([
        {
          reference: 'pay_part_1',
          state: 'captured',
          asked: null,
          refunded: 1_000,
          noted: 1,
          givenUp: 0,
        },
        {
          reference: 'pay_replaced_1',
          state: 'captured',
          asked: null,
          refunded: 700,
          noted: 0,
          givenUp: 1,
        },
        {
          reference: 'pay_twice_1',
          state: 'captured',
          asked: 5,
          refunded: 0,
          noted: 0,
          givenUp: 2,
        },
        {
          reference: 'pay_whole_1',
          state: 'captured',
          asked: 5,
          refunded: 0,
          noted: 1,
          givenUp: 0,
        },
      ]);
      const { askRefund } = openRefunds(database, { now: () => 9 });
      await askRefund([aReference('pay_whole_1')], { again: true });
      expect(
        await database.query(
          `select state, amount_refunded as refunded from payments where reference = 'pay_whole_1'`,
        ),
      ).toEqual([{ state: 'refunded', refunded: price }]);
    } finally {
      await database.close();
    }
  },
);
