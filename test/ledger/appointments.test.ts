import { expect, test } from 'vitest';
import { onEachLedger } from '../support/ledgers.ts';
import { createDrop } from './samples.ts';

onEachLedger((ledger) => {
  test('An appointment is made once and keeps its time', async () => {
    const { appointments } = ledger();
    const { id: drop } = await createDrop(ledger());
    const [first] = await appointments.make([{ drop, buyer: 'ann' }]);
    expect(first).toMatchObject({ made: true });
    const again = await appointments.make([
      { drop, buyer: 'bob' },
      { drop, buyer: 'ann' },
    ]);
    expect(again).toMatchObject([{ made: true }, { made: false, madeAt: first?.madeAt }]);
    expect(await appointments.find({ drop, buyer: 'ann' })).toBe(first?.madeAt);
    expect(await appointments.find({ drop, buyer: 'carl' })).toBeUndefined();
  });

  test('Appointments made at once, alone and in lists, are each made by one request', async () => {
    const { appointments, audit } = ledger();
    const { id: drop } = await createDrop(ledger());
    const buyers = Array.from({ length: 200 }, (_, n) => `b${n}`);
    const [lists, single] = await Promise.all([
      Promise.all(
        [1, 2, 3].map((n) =>
          appointments.add(
            drop,
            [...buyers].sort(() => n - 2),
          ),
        ),
      ),
      Promise.all(
        [buyers, [...buyers].reverse()].map((some) =>
          appointments.make(some.map((buyer) => ({ drop, buyer }))),
        ),
      ),
    ]);
    const made = single.flat().filter((one) => one.made).length;
    expect(lists.reduce((sum, added) => sum + added, made)).toBe(buyers.length);
    expect((await audit.appointments(drop)).count).toBe(buyers.length);
  });

  test('A list that names a buyer twice adds one appointment', async () => {
    const { appointments } = ledger();
    const { id: drop } = await createDrop(ledger());
    expect(await appointments.add(drop, ['ann', 'bob', 'ann'])).toBe(2);
    expect(await appointments.add(drop, ['bob', 'carl'])).toBe(1);
  });

  test('A drop keeps its appointment window, or none when none was given', async () => {
    const { drops } = ledger();
    const appointment = { from: 1, until: 2 };
    const drop = await createDrop(ledger(), { appointment });
    expect((await drops.get(drop.id))?.appointment).toEqual(appointment);
    const plain = await createDrop(ledger());
    expect(await drops.get(plain.id)).not.toHaveProperty('appointment');
  });
});
