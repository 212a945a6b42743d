import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { QueueFull } from '../../../src/batching/batcher.ts';
import { openPasswordHashing } from '../../../src/ledger/wallet/password-hash.ts';
import {
  comparisonsMax,
  comparisonsWindowMs,
  openWalletPasswords,
  type PasswordCheck,
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
      const guess = async (count: number) => {
        const guesses = Array.from({ length: count }, (_, n) => {
          return processes[n % 40]?.check(buyer, wrong);
        });
        return (await Promise.all(guesses)).flatMap((answer) => answer ?? []);
      };
      const told: PasswordCheck[] = await guess(1_000);
      while (!told.some(({ kind }) => kind === 'locked')) told.push(...(await guess(100)));
      expect(kindsOf(await guess(100))).toEqual({ locked: 100 });
      expect(kindsOf(told)['wrong']).toBe(passwordTriesMax);
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

    it('One comparison of a password runs at a time, at all processes together, and what is told to wait takes no try', async () => {
      const { buyer } = await withPassword();
      const processes = Array.from({ length: 8 }, () => open());
      const answers = await Promise.all(processes.map(({ check }) => check(buyer, wrong)));
      const compared = answers.filter(({ kind }) => kind === 'wrong');
      const busy = answers.filter(({ kind }) => kind === 'busy');
      expect(compared.length + busy.length).toBe(8);
      expect(busy.length).toBeGreaterThan(0);
      expect(await processes[0]?.check(buyer, wrong)).toEqual({
        kind: 'wrong',
        triesLeft: passwordTriesMax - compared.length - 1,
      });
    });

    it('A comparison that was lost with its process holds others up for half a minute at most', async () => {
      const { buyer, check, clock } = await withPassword();
      await ledger().database.query(
        'update wallet_passwords set comparing_until = $2 where buyer = $1',
        [buyer, clock.at + 30_000],
      );
      expect(await check(buyer, right)).toMatchObject({ kind: 'busy' });
      clock.at += 30_000;
      expect(await check(buyer, right)).toEqual({ kind: 'right' });
    });

    it('Right passwords use up what a window has room for, too', async () => {
      const { buyer, check, clock } = await withPassword();
      for (let n = 0; n < comparisonsMax; n += 1) {
        expect(await check(buyer, right)).toEqual({ kind: 'right' });
      }
      expect(await check(buyer, right)).toEqual({
        kind: 'busy',
        retryAfterMs: comparisonsWindowMs,
      });
      clock.at += comparisonsWindowMs;
      expect(await check(buyer, right)).toEqual({ kind: 'right' });
    });

    it('Each lock in a row is twice as long, up to a day, and a right password ends the row', async () => {
      const { buyer, check, clock } = await withPassword();
      const lock = async () => {
        for (let tries = 0; tries < passwordTriesMax; tries += 1) await check(buyer, wrong);
        const refused = await check(buyer, right);
        if (refused.kind !== 'locked') throw new Error(refused.kind);
        const hours = (refused.untilMs - clock.at) / 3_600_000;
        clock.at = refused.untilMs;
        return hours;
      };
      const row = [await lock(), await lock(), await lock(), await lock(), await lock()];
      expect(row).toEqual([3, 6, 12, 24, 24]);
      expect(await check(buyer, right)).toEqual({ kind: 'right' });
      expect(await lock()).toBe(3);
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

    it.for([
      ...['000000', '999999', '123456', '987654', '890123', '210987', '123123', '696969'],
      ...['123321', '112233', '520520', '520131', '159753', '147258', '201314', '110120'],
    ])('A password that is guessed first is refused: %s', async (password) => {
      const buyer = randomUUID();
      const { set, state } = open();
      expect(await set({ buyer, password })).toEqual({ kind: 'weak' });
      expect(await state(buyer)).toEqual({ set: false });
    });

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

  describe('The processor that hashes', () => {
    it('A payment goes before all that set a password, and those have few places', async () => {
      // A payment's hash is cheap here and the others are dear, so that the order shows who waited.
      const hashed = await openPasswordHashing(cheap).hash(right, 'payment');
      const hashing = openPasswordHashing({ ...cheap, logN: 14 });
      const ended: string[] = [];
      const settings = Array.from({ length: 40 }, async () => {
        await hashing.within('setting', () => hashing.hash(right, 'setting'));
        ended.push('setting');
      });
      const payment = hashing
        .within('payment', () => hashing.compare(right, hashed, 'payment'))
        .then(() => ended.push('payment'));
      const answers = await Promise.allSettled([...settings, payment]);
      expect(answers.filter(({ status }) => status === 'rejected')).toHaveLength(40 - 16);
      // Two run already. In the order of arrival it would be the last of seventeen.
      expect(ended.indexOf('payment')).toBeLessThan(8);
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
