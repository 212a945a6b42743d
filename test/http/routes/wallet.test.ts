import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Drop } from '../../../src/domain/drop.ts';
import type { OrderId } from '../../../src/domain/ids.ts';
import { cardBody, dropBody } from '../../../src/http/schemas/drops.ts';
import { walletBody } from '../../../src/http/schemas/orders.ts';
import { statementBody } from '../../../src/http/views/statements.ts';
import { anItem } from '../../support/drops.ts';
import { startTestEngine, type TestEngine } from '../../support/engine.ts';
import { eventually } from '../../support/eventually.ts';
import { aDropId, anOrderId } from '../../support/ids.ts';
import { sharedRedisUrl } from '../../support/redis.ts';

let engine: TestEngine;
/** The bounds of passwords are tested here; a guesser's budget over all routes would end it earlier. */
const budgets = { buyer: 1_000_000 };

beforeAll(async () => {
  engine = await startTestEngine({ redisUrl: sharedRedisUrl(), settings: { budgets } });
});
afterAll(() => engine?.stop());

type Answer = Awaited<ReturnType<typeof put>>;

async function put(buyer: string, payload: object) {
  return await engine.app.inject({
    method: 'PUT',
    url: '/v1/wallet/password',
    headers: engine.buyer(buyer),
    payload,
  });
}

async function wallet(buyer: string) {
  const answer = await engine.app.inject({ url: '/v1/wallet', headers: engine.buyer(buyer) });
  return walletBody.parse(answer.json());
}

/** A drop whose one item costs 100, and that asks for the password above an amount. */
async function dropAbove(passwordAbove: number, allotment = 10): Promise<Drop> {
  const { id } = await engine.merchant();
  const items = [anItem({ unitAmount: 100, allotment })];
  return await engine.publish(id, { passwordAbove, items });
}

async function reserved(buyer: string, drop: Drop): Promise<OrderId> {
  const answer = await engine.app.inject({
    method: 'POST',
    url: `/v1/drops/${drop.id}/orders`,
    headers: { ...engine.buyer(buyer), 'idempotency-key': 'k' },
    payload: { sku: 'phone', quantity: 1, payment: { method: 'wallet' } },
  });
  expect(answer.statusCode, answer.body).toBe(202);
  return anOrderId(answer.json().id);
}

async function pay(buyer: string, order: string, password?: string) {
  return await engine.app.inject({
    method: 'POST',
    url: `/v1/orders/${order}/payment`,
    headers: engine.buyer(buyer),
    payload: { method: 'wallet', ...(password === undefined ? {} : { password }) },
  });
}

async function stateOf(buyer: string, order: string): Promise<string> {
  const url = `/v1/orders/${order}`;
  return (await engine.app.inject({ url, headers: engine.buyer(buyer) })).json().state;
}

const reasonsOf = (answer: Answer) => answer.json().errors;

describe('The payment password', () => {
  test('is set once, shown as set, and changed with the current one only', async () => {
    expect((await wallet('ann')).password).toEqual({ set: false });
    const first = await put('ann', { password: '280193' });
    expect(first.statusCode, first.body).toBe(204);
    expect(first.body).toBe('');
    expect((await wallet('ann')).password).toEqual({ set: true });
    expect((await wallet('bob')).password).toEqual({ set: false });
    const bare = await put('ann', { password: '904418' });
    expect(bare.statusCode).toBe(400);
    expect(reasonsOf(bare)).toEqual([
      { field: 'current', reason: 'is required: a password is already set' },
    ]);
    const guessed = await put('ann', { password: '904418', current: '280194' });
    expect(guessed.statusCode).toBe(403);
    expect(guessed.json()).toMatchObject({ code: 'payment_password_wrong', triesLeft: 4 });
    expect((await put('ann', { password: '904418', current: '280193' })).statusCode).toBe(204);
    expect(await engine.ledger.passwords.check('ann', '904418')).toEqual({ kind: 'right' });
  });

  test('is locked after five wrong guesses, and the answer says until when', async () => {
    await put('locked', { password: '280193' });
    const guess = () => put('locked', { password: '904418', current: '111112' });
    for (let tries = 4; tries >= 0; tries -= 1) {
      expect((await guess()).json()).toMatchObject({ triesLeft: tries });
    }
    const refused = await guess();
    expect(refused.statusCode).toBe(403);
    const { lockedUntil = '' } = (await wallet('locked')).password;
    expect(refused.json()).toMatchObject({ code: 'payment_password_locked', until: lockedUntil });
    const threeHours = 3 * 3_600;
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(threeHours - 60);
    expect(Number(refused.headers['retry-after'])).toBeLessThanOrEqual(threeHours);
    expect(Date.parse(lockedUntil)).toBeGreaterThan(Date.now() + (threeHours - 60) * 1_000);
  });

  test.for([
    ['five digits', '28019', 'must be six digits'],
    ['seven digits', '2801930', 'must be six digits'],
    ['letters', '28o193', 'must be six digits'],
    ['digits that are not ASCII', '２８０１９３', 'must be six digits'],
    ['a line break at the end', '280193\n', 'must be six digits'],
    ['a number', 280193, 'must be a text'],
    ['nothing', undefined, 'is required'],
    ['one digit six times', '777777', 'is easy to guess: choose another'],
    ['a run', '123456', 'is easy to guess: choose another'],
  ] as const)('cannot be %s', async ([, password, reason]) => {
    const answer = await put('careless', { password });
    expect(answer.statusCode, answer.body).toBe(400);
    expect(reasonsOf(answer)).toEqual([{ field: 'password', reason }]);
    expect((await wallet('careless')).password).toEqual({ set: false });
  });

  test('The payment password is in no answer and in no line of the log, even when something fails', async () => {
    const seen: string[] = [];
    const note = (answer: Answer) => seen.push(JSON.stringify(answer.headers), answer.body);
    note(await put('shy', { password: '730284' }));
    note(await put('shy', { password: '730285', current: '730286' }));
    note(await put('shy', { password: '7302840' }));
    note(await put('shy', { password: '730284', odd: '730284' }));
    await engine.fund('shy', 100);
    const order = await reserved('shy', await dropAbove(50));
    note(await pay('shy', order, '730285'));
    note(await pay('shy', order, '73028'));
    const { query } = engine.ledger.database;
    await query("update wallet_passwords set hash = 'damaged' where buyer = 'shy'");
    const failed = await pay('shy', order, '730284');
    expect(failed.statusCode, failed.body).toBe(500);
    note(failed);
    for (const password of ['73028', '730285', '730286']) {
      expect([...seen, ...engine.logged].join('\n')).not.toContain(password);
    }
  });
});

describe('An order above the amount that needs the password', () => {
  test('An order that needs the password waits for it, and is paid with the right one and no other', async () => {
    await engine.fund('careful', 100);
    const [above, upTo] = [await dropAbove(99), await dropAbove(100)];
    const order = await reserved('careful', above);
    const unset = await pay('careful', order, '280193');
    expect(unset.json()).toMatchObject({ code: 'payment_password_not_set', status: 409 });
    await put('careful', { password: '280193' });
    const bare = await pay('careful', order);
    expect(bare.json()).toMatchObject({ code: 'payment_password_needed', status: 403 });
    const wrong = await pay('careful', order, '280194');
    expect(wrong.json()).toMatchObject({ code: 'payment_password_wrong', triesLeft: 4 });
    expect(await engine.ledger.payments.ofOrders([order])).toEqual([]);
    const right = await pay('careful', order, '280193');
    expect(right.statusCode, right.body).toBe(200);
    await eventually(async () => (await stateOf('careful', order)) === 'paid');
    // One that is not above it is charged by itself.
    await engine.fund('careful', 100);
    const free = await reserved('careful', upTo);
    await eventually(async () => (await stateOf('careful', free)) === 'paid');
    expect((await wallet('careful')).balances).toEqual([{ currency: 'CNY', amount: 0 }]);
  });

  test('A thief with the token of a buyer can guess five times, and the money stays', async () => {
    await engine.fund('robbed', 100);
    await put('robbed', { password: '280193' });
    const order = await reserved('robbed', await dropAbove(0));
    const forty = async () => {
      const guesses = Array.from({ length: 40 }, (_, n) =>
        pay('robbed', order, `${500_100 + 7 * n}`),
      );
      return (await Promise.all(guesses)).map((answer) => answer.json().code);
    };
    const codes: string[] = [];
    while (!codes.includes('payment_password_locked')) codes.push(...(await forty()));
    expect(codes.filter((code) => code === 'payment_password_wrong')).toHaveLength(5);
    expect(new Set(await forty())).toEqual(new Set(['payment_password_locked']));
    expect((await pay('robbed', order, '280193')).statusCode).toBe(403);
    expect(await stateOf('robbed', order)).toBe('reserved');
    expect((await wallet('robbed')).balances).toEqual([{ currency: 'CNY', amount: 100 }]);
  });
});

describe('What checks of passwords may cost', () => {
  test('A wallet without the money has no password checked, so thirty of them delay nobody', async () => {
    const drop = await dropAbove(50, 40);
    await engine.fund('payer', 100);
    await put('payer', { password: '280193' });
    const poor = Array.from({ length: 30 }, (_, n) => `poor-${n}`);
    await put('poor-0', { password: '280193' });
    const orders = await Promise.all(poor.map((buyer) => reserved(buyer, drop)));
    const asked = poor.map((buyer, n) => pay(buyer, orders[n] ?? '', '904418'));
    const honest = await pay('payer', await reserved('payer', drop), '280193');
    expect(honest.statusCode, honest.body).toBe(200);
    for (const answer of await Promise.all(asked)) {
      expect(answer.json()).toMatchObject({ code: 'insufficient_funds' });
    }
    expect(await engine.ledger.passwords.check('poor-0', '904418')).toMatchObject({ triesLeft: 4 });
  });

  test('An order that has ended has no password checked', async () => {
    await engine.fund('late', 100);
    await put('late', { password: '280193' });
    const order = await reserved('late', await dropAbove(50));
    await engine.app.inject({
      method: 'POST',
      url: `/v1/orders/${order}/cancel`,
      headers: engine.buyer('late'),
    });
    expect((await pay('late', order, '904418')).json()).toMatchObject({ code: 'order_ended' });
    expect(await engine.ledger.passwords.check('late', '904418')).toMatchObject({ triesLeft: 4 });
  });

  test('A check while another one of the same buyer runs is answered 429 with Retry-After', async () => {
    await engine.fund('hasty', 100);
    await put('hasty', { password: '280193' });
    const order = await reserved('hasty', await dropAbove(50));
    const { query } = engine.ledger.database;
    const running = "update wallet_passwords set comparing_until = $1 where buyer = 'hasty'";
    await query(running, [Date.now() + 60_000]);
    const busy = await pay('hasty', order, '280193');
    expect(busy.json()).toMatchObject({ code: 'payment_password_busy', status: 429 });
    expect(Number(busy.headers['retry-after'])).toBeGreaterThan(0);
    await query(running, [null]);
    expect((await pay('hasty', order, '280193')).statusCode).toBe(200);
  });
});

describe('What a wallet pays in a day without the password', () => {
  test('Orders of one wallet need the password once they come to more than one order may without it', async () => {
    await engine.fund('splitter', 10_000);
    await put('splitter', { password: '280193' });
    const drops = await Promise.all(Array.from({ length: 10 }, () => dropAbove(250)));
    const orders = await Promise.all(drops.map((drop) => reserved('splitter', drop)));
    const states = async () => await Promise.all(orders.map((order) => stateOf('splitter', order)));
    const view = async (order: OrderId) =>
      await engine.app.inject({ url: `/v1/orders/${order}`, headers: engine.buyer('splitter') });
    const waiting = async () => {
      const views = await Promise.all(orders.map(view));
      return orders.filter((_, n) => views[n]?.json().awaits === 'password');
    };
    await eventually(async () => expect(await waiting()).toHaveLength(8));
    await eventually(async () => (await states()).filter((state) => state === 'paid').length === 2);
    const [order = ''] = await waiting();
    expect((await pay('splitter', order)).json()).toMatchObject({
      code: 'payment_password_needed',
    });
    expect((await pay('splitter', order, '280193')).statusCode).toBe(200);
    await eventually(async () => (await stateOf('splitter', order)) === 'paid');
    expect((await wallet('splitter')).balances).toEqual([{ currency: 'CNY', amount: 9_700 }]);
  });

  test('What was paid more than a day ago, and what was declined, does not count', async () => {
    const [first, second, third] = [
      await dropAbove(150),
      await dropAbove(150),
      await dropAbove(150),
    ];
    const declined = await reserved('regular', first);
    await eventually(async () => (await stateOf('regular', declined)) === 'released');
    await engine.fund('regular', 1_000);
    const paid = await reserved('regular', second);
    await eventually(async () => (await stateOf('regular', paid)) === 'paid');
    await engine.ledger.database.query(
      "update wallet_allowances set decided_at = decided_at - 86400000 where buyer = 'regular'",
    );
    const next = await reserved('regular', third);
    await eventually(async () => (await stateOf('regular', next)) === 'paid');
  });
});

describe('The statement', () => {
  const ask = (buyer: string, query: string) =>
    engine.app.inject({ url: `/v1/wallet/statement?${query}`, headers: engine.buyer(buyer) });
  const topUp = (buyer: string, n: number, currency = 'CNY') => ({
    buyer,
    currency,
    amount: n + 1,
    reference: `statement:${buyer}:${n}`,
  });
  const many = 2_300;

  test('has every entry, oldest first, with the balance after it', async () => {
    await engine.ledger.accounts.topUpAll(Array.from({ length: many }, (_, n) => topUp('old', n)));
    const answer = await ask('old', 'currency=CNY');
    expect(answer.statusCode).toBe(200);
    expect(answer.headers).toMatchObject({
      'content-type': 'application/json; charset=utf-8',
      'content-disposition': 'attachment; filename="wallet-CNY.json"',
      'cache-control': 'no-store',
    });
    const { currency, entries, balance } = statementBody.parse(answer.json());
    expect({ currency, balance }).toEqual({ currency: 'CNY', balance: (many * (many + 1)) / 2 });
    expect(entries).toHaveLength(many);
    let running = 0;
    for (const [n, entry] of entries.entries()) {
      running += n + 1;
      expect(entry).toMatchObject({ kind: 'topup', amount: n + 1, balance: running });
    }
  });

  test('A statement is a snapshot of the time of the request, even when money moves while it is read', async () => {
    await engine.ledger.accounts.topUpAll(Array.from({ length: many }, (_, n) => topUp('busy', n)));
    const ref = { kind: 'buyer' as const, owner: 'busy', currency: 'CNY' };
    const { balance, entries } = await engine.ledger.accounts.statement(ref);
    let [count, running] = [0, 0];
    for await (const entry of entries) {
      if (count % 1_000 === 0) await engine.ledger.accounts.topUp(topUp('busy', many + count));
      count += 1;
      running = entry.balance;
    }
    expect({ count, running }).toEqual({ count: many, running: balance });
    expect(await engine.ledger.accounts.balance(ref)).toBeGreaterThan(balance);
  });

  test('as CSV has amounts as numbers and no field that a spreadsheet would run', async () => {
    await engine.fund('sheet', 700);
    const { accounts, database } = engine.ledger;
    await database.transaction(async (query) => {
      const refs = [
        { kind: 'buyer' as const, owner: 'sheet', currency: 'CNY' },
        { kind: 'merchant' as const, owner: 'mer_sheet', currency: 'CNY' },
      ];
      const locked = await accounts.lock(query, refs);
      const [debit = 0, credit = 0] = refs.map((ref) => locked(ref).id);
      await accounts.post(query, [
        { kind: 'capture', reference: '=HYPERLINK("x")', debit, credit, amount: 250 },
      ]);
    });
    const answer = await ask('sheet', 'currency=CNY&format=csv');
    expect(answer.headers['content-type']).toBe('text/csv; charset=utf-8; header=present');
    const [head, first, second, end] = answer.body.split('\r\n');
    expect(head).toBe('entry,at,kind,reference,amount,balance,currency');
    expect(first).toMatch(/^\d+,20[^,]+Z,topup,test:[0-9a-f]+,700,700,CNY$/);
    expect(second).toMatch(/^\d+,20[^,]+Z,capture,"'=HYPERLINK\(""x""\)",-250,450,CNY$/);
    expect(end).toBe('');
  });

  test('of a buyer who never had money is empty', async () => {
    const answer = await ask('stranger', 'currency=CNY');
    expect(answer.json()).toEqual({ currency: 'CNY', entries: [], balance: 0 });
    const csv = await ask('stranger', 'currency=CNY&format=csv');
    expect(csv.body.split('\r\n')).toHaveLength(2);
    const nobody = await engine.app.inject('/v1/wallet/statement?currency=CNY');
    expect(nobody.statusCode).toBe(401);
  });

  test.for([
    ['', 'currency'],
    ['currency=XQX', 'currency'],
    ['currency=CNY&format=pdf', 'format'],
    ['currency=CNY&buyer=ann', 'buyer'],
  ] as const)('is refused with "%s"', async ([query, field]) => {
    const answer = await ask('stranger', query);
    expect(answer.statusCode).toBe(400);
    expect(answer.json().errors[0].field).toBe(field);
  });
});

test('The amount above which a drop asks for the password is shown to the merchant and on the card, and reaches the lanes', async () => {
  const store = await engine.merchant();
  const as = { authorization: store.authorization };
  const made = await engine.app.inject({
    method: 'POST',
    url: '/v1/drops',
    headers: as,
    payload: {
      title: 'Noon',
      currency: 'CNY',
      startsAt: new Date(Date.now() - 1_000).toISOString(),
      endsAt: new Date(Date.now() + 3_600_000).toISOString(),
      passwordAbove: 50_000,
      items: [{ sku: 'phone', title: 'A phone', unitAmount: 100, allotment: 10, perBuyer: 1 }],
    },
  });
  expect(made.statusCode, made.body).toBe(201);
  const { id, passwordAbove } = dropBody.parse(made.json());
  expect(passwordAbove).toBe(50_000);
  await engine.app.inject({ method: 'POST', url: `/v1/drops/${id}/publish`, headers: as });
  const card = cardBody.parse((await engine.app.inject(`/v1/drops/${id}`)).json());
  expect(card.passwordAbove).toBe(50_000);
  expect(await engine.deps.lanes.readDrop({ drop: aDropId(id), lane: 0 })).toMatchObject({
    passwordAbove,
  });
  const list = await engine.app.inject({ url: '/v1/drops', headers: as });
  expect(list.json().drops).toMatchObject([{ id, passwordAbove }]);
});
