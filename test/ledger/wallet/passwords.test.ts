import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { QueueFull } from '../../../src/batching/batcher.ts';
import { openPasswordHashing } from '../../../src/ledger/wallet/password-hash.ts';
import {
  openWalletPasswords,
  passwordLockMs,
  passwordTriesMax,
} from '../../../src/ledger/wallet/passwords.ts';
import { onEachLedger } from '../../support/ledgers.ts';

const right = '280193';
const wrong = '280194';
/** The cost changes nothing but the time that a test takes. */
const cheap = { logN: 10, r: 8, p: 1 };

onEachLedger((ledger) => {
  /** The passwords of a process of its own, whose clock the test moves. */
  function open(cost = cheap) {
    const clock = { at: 1_700_000_000_000, now: () => clock.at };
    const hashing = openPasswordHashing(cost);
    const passwords = openWalletPasswords(ledger().database, { clock, hashing });
    return { ...passwords, clock };
  }

  async function withPassword(password = right) {
    const buyer = randomUUID();
    const passwords = open();
    expect(await passwords.set({ buyer, password })).toEqual({ kind: 'done' });
    return { buyer, ...passwords };
  }

  const kindsOf = (answers: { kind: string }[]) =>
    Object.fromEntries(
      Object.entries(Object.groupBy(answers, ({ kind }) => kind)).map(([kind, some]) => [
        kind,
        some?.length,
      ]),
    );

  describe('Payment passwords', () => {
    it('A payment password is right or wrong, and neither for a buyer who has set none', async () => {
      const { buyer, check } = await withPassword();
      expect(await check(buyer, right)).toEqual({ kind: 'right' });
      expect(await check(buyer, wrong)).toEqual({ kind: 'wrong', triesLeft: 4 });
      expect(await check(randomUUID(), right)).toEqual({ kind: 'not_set' });
    });

    it('Of a thousand guesses at once five are compared, also by several processes', async () => {
      const { buyer } = await withPassword();
      const processes = Array.from({ length: 40 }, () => open());
      const answers = await Promise.all(
        Array.from({ length: 1_000 }, (_, n) => processes[n % 40]?.check(buyer, wrong)),
      );
      const told = answers.flatMap((answer) => answer ?? []);
      expect(kindsOf(told)).toEqual({ wrong: passwordTriesMax, locked: 1_000 - passwordTriesMax });
      const left = told.flatMap((answer) => (answer.kind === 'wrong' ? [answer.triesLeft] : []));
      expect(left.sort()).toEqual([0, 1, 2, 3, 4]);
    });

    it('A locked password is not compared, not even with the right one, until the lock ends', async () => {
      const { buyer, check, set, state, clock } = await withPassword();
      for (let tries = 0; tries < passwordTriesMax; tries += 1) await check(buyer, wrong);
      const untilMs = clock.at + passwordLockMs;
      expect(await check(buyer, right)).toEqual({ kind: 'locked', untilMs });
      expect(await set({ buyer, password: '904418', current: right })).toEqual({
        kind: 'locked',
        untilMs,
      });
      expect(await state(buyer)).toEqual({ set: true, lockedUntil: untilMs });
      clock.at = untilMs - 1;
      expect(await check(buyer, right)).toMatchObject({ kind: 'locked' });
      clock.at = untilMs;
      expect(await state(buyer)).toEqual({ set: true });
      expect(await check(buyer, wrong)).toEqual({ kind: 'wrong', triesLeft: 4 });
      expect(await check(buyer, right)).toEqual({ kind: 'right' });
      expect(await check(buyer, wrong)).toEqual({ kind: 'wrong', triesLeft: 4 });
    });

    it('A right password gives the tries back', async () => {
      const { buyer, check } = await withPassword();
      for (let round = 0; round < 3; round += 1) {
        for (let tries = 1; tries < passwordTriesMax; tries += 1) {
          expect(await check(buyer, wrong)).toMatchObject({ kind: 'wrong' });
        }
        expect(await check(buyer, right)).toEqual({ kind: 'right' });
      }
    });

    it('A first password is set by one of many requests at once, and then changed only with the current one', async () => {
      const buyer = randomUUID();
      const { set, check } = open();
      const wanted = ['280193', '280195', '280197', '280199'];
      const answers = await Promise.all(wanted.map((password) => set({ buyer, password })));
      expect(kindsOf(answers)).toEqual({ done: 1, current_needed: 3 });
      const first = wanted[answers.findIndex(({ kind }) => kind === 'done')] as string;
      const password = '904418';
      expect(await set({ buyer, password })).toEqual({ kind: 'current_needed' });
      const guessed = await set({ buyer, password, current: wrong });
      expect(guessed).toEqual({ kind: 'wrong', triesLeft: 4 });
      expect(await set({ buyer, password, current: first })).toEqual({ kind: 'done' });
      expect(await check(buyer, password)).toEqual({ kind: 'right' });
      expect(await check(buyer, first)).toMatchObject({ kind: 'wrong' });
    });

    it('Of two changes at once with the right password, one succeeds', async () => {
      const { buyer, set, check } = await withPassword();
      const wanted = ['904418', '904420'];
      const answers = await Promise.all(
        wanted.map((password) => set({ buyer, password, current: right })),
      );
      const changed = answers.map(({ kind }) => kind === 'done');
      expect(changed.filter(Boolean)).toHaveLength(1);
      for (const [n, password] of wanted.entries()) {
        const kind = changed[n] ? 'right' : 'wrong';
        expect(await check(buyer, password)).toMatchObject({ kind });
      }
    });

    it.for(['000000', '999999', '123456', '987654', '890123', '210987'])(
      'A password that is guessed first is refused: %s',
      async (password) => {
        const buyer = randomUUID();
        const { set, state } = open();
        expect(await set({ buyer, password })).toEqual({ kind: 'weak' });
        expect(await state(buyer)).toEqual({ set: false });
      },
    );

    it('No password is in the ledger, and two buyers with the same one have different hashes', async () => {
      const [a, b] = [await withPassword(), await withPassword()];
      const rows = await ledger().database.query<{ hash: string }>(
        'select hash from wallet_passwords where buyer = any($1)',
        [[a.buyer, b.buyer]],
      );
      const [one, other] = rows.map(({ hash }) => hash);
      expect(one).toMatch(/^scrypt\$10\$8\$1\$/);
      expect(one).not.toEqual(other);
      expect(`${one}${other}`).not.toContain(right);
    });

    it('A password hashed at an older cost is hashed again at today’s when it is next right', async () => {
      const { buyer, check } = await withPassword();
      const dearer = open({ logN: 11, r: 8, p: 1 });
      expect(await dearer.check(buyer, wrong)).toEqual({ kind: 'wrong', triesLeft: 4 });
      expect(await dearer.check(buyer, right)).toEqual({ kind: 'right' });
      const [row] = await ledger().database.query<{ hash: string }>(
        'select hash from wallet_passwords where buyer = $1',
        [buyer],
      );
      expect(row?.hash).toMatch(/^scrypt\$11\$8\$1\$/);
      expect(await check(buyer, right)).toEqual({ kind: 'right' });
    });
  });

  describe('Many guesses at once', () => {
    it('Guesses beyond the bound of comparisons are refused, and take no try', async () => {
      const { check, state, buyer } = await withPassword();
      const others = await Promise.all(Array.from({ length: 80 }, () => withPassword()));
      // All of them through one process, and the buyer after them.
      const answers = await Promise.allSettled([
        ...others.map((other) => check(other.buyer, wrong)),
        check(buyer, wrong),
      ]);
      const full = answers.filter(
        (answer) => answer.status === 'rejected' && answer.reason instanceof QueueFull,
      );
      expect(full).toHaveLength(81 - 64);
      expect(answers.at(-1)).toMatchObject({ status: 'rejected' });
      expect(await check(buyer, wrong)).toEqual({ kind: 'wrong', triesLeft: 4 });
      expect(await state(buyer)).toEqual({ set: true });
    });
  });
});
