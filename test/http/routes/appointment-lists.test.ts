import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Drop } from '../../../src/domain/drop.ts';
import { startTestEngine, type TestEngine } from '../../support/engine.ts';
import { sharedRedisUrl } from '../../support/redis.ts';

const hour = 3_600_000;
let engine: TestEngine;
let merchant: Awaited<ReturnType<TestEngine['merchant']>>;
beforeAll(async () => {
  engine = await startTestEngine({ redisUrl: sharedRedisUrl(), settling: false });
  merchant = await engine.merchant();
});
afterAll(() => engine?.stop());

function publish(overrides: Partial<Drop> = {}): Promise<Drop> {
  const appointment = { from: Date.now() - hour, until: Date.now() + hour };
  return engine.publish(merchant.id, { appointment, lanes: 2, ...overrides });
}

const csv = 'text/csv';
const ndjson = 'application/x-ndjson';

function send(drop: Drop, payload: string | Buffer, { type = csv, query = '' } = {}) {
  return engine.app.inject({
    method: 'POST',
    url: `/v1/drops/${drop.id}/appointments/import${query}`,
    headers: { authorization: merchant.authorization, 'content-type': type },
    payload,
  });
}

function ask(method: 'GET' | 'DELETE', drop: Drop, rest = '', key = merchant.authorization) {
  const url = `/v1/drops/${drop.id}/appointments${rest}`;
  return engine.app.inject({ method, url, headers: { authorization: key } });
}

async function buyersOf(drop: Drop): Promise<string[]> {
  const list = await ask('GET', drop, '?limit=200');
  expect(list.statusCode, list.body).toBe(200);
  return list.json().appointments.map(({ buyer }: { buyer: string }) => buyer);
}

function press(drop: Drop, buyer: string) {
  return engine.app.inject({
    method: 'POST',
    url: `/v1/drops/${drop.id}/orders`,
    headers: { ...engine.buyer(buyer), 'idempotency-key': 'k' },
    payload: { sku: 'phone', quantity: 1, payment: { method: 'wallet' } },
  });
}

describe('A list of which it is not clear where the buyers are', () => {
  const objects = (...values: object[]) => values.map((value) => JSON.stringify(value)).join('\n');
  const unclear: [what: string, body: string | Buffer, columns: string[], type?: string][] = [
    ['another header', 'buyer_id\nann\n', ['buyer_id']],
    ['a header in two words', 'Buyer ID\nann\n', ['Buyer ID']],
    ['a header in one word', 'userId\nann\n', ['userId']],
    ['a header of addresses', '\ufeffE-Mail\r\nann@example.com\r\n', ['E-Mail']],
    ['a header of numbers', '"Phone"\n+8613800000000\n', ['Phone']],
    ['a header that no buyer can be called', 'Käufer\nann\n', ['Käufer']],
    ['a header in another language', 'kunde\nann\n', ['kunde']],
    ['further columns', 'buyer,email\nann,a@example.com\n', ['buyer', 'email']],
    ['further columns behind semicolons', 'Buyer;City\nann;Bern\n', ['Buyer', 'City']],
    ['further columns behind tabs', 'buyer\tcity\nann\tBern\n', ['buyer', 'city']],
    ['further columns behind the separator it names', 'sep=;\na;b\nann;x\n', ['a', 'b']],
    ['two columns of the name', 'buyer,Buyer\nann,bob\n', ['buyer', 'Buyer']],
    ['columns without a header', 'ann,a@x.example\nbob,b@x.example\n', ['ann', 'a@x.example']],
    ['further members', objects({ buyer: 'ann', email: 'x' }), ['buyer', 'email'], ndjson],
    ['another member', objects({ id: 'ann' }, { id: 'bob' }), ['id'], ndjson],
  ];
  test.for(unclear)(
    'for it has %s: its columns are told and nobody is imported',
    async ([, body, columns, type]) => {
      const drop = await publish();
      const answer = await send(drop, body, { type: type ?? csv });
      expect(answer.statusCode, answer.body).toBe(400);
      expect(answer.json()).toMatchObject({ code: 'import_columns', columns });
      expect(await buyersOf(drop)).toEqual([]);
    },
  );

  test('for its first line is unlike those below asks whether that is a header or a buyer, and offers no column to name', async () => {
    const ten = (make: (n: number) => string) => Array.from({ length: 10 }, (_, n) => make(n));
    const above = [ten((n) => `${1001 + n}`), ten((n) => `u-${n}`), ['ann@x.example']];
    const lists = [
      ...above.map((buyers) => ['fans', ...buyers]),
      ['Fans', ...ten((n) => 'a'.repeat(n + 1))],
    ];
    for (const list of lists) {
      const [drop, body] = [await publish(), list.join('\r\n')];
      const answer = await send(drop, body);
      expect(answer.json()).toMatchObject({ status: 400, code: 'import_columns' });
      expect(answer.json().detail).toMatch(/`\?header=absent` .* `\?header=present`/);
      expect(answer.json()).not.toHaveProperty('columns');
      expect(await buyersOf(drop)).toEqual([]);
      for (const [header, imported] of Object.entries({
        absent: list.length,
        present: list.length - 1,
      })) {
        const trial = await send(drop, body, { query: `?dryRun=true&header=${header}` });
        expect(trial.json()).toMatchObject({ imported, bad: 0 });
      }
    }
  });

  test('for it is UTF-16 without a mark is refused in words that say so', async () => {
    const drop = await publish();
    const answer = await send(drop, Buffer.from('ann\nbob\n', 'utf16le'));
    expect(answer.statusCode).toBe(400);
    expect(answer.json().errors[0].reason).toContain('UTF-16');
    expect(await buyersOf(drop)).toEqual([]);
  });
});

describe('A list gives its buyers', () => {
  const both = ['ann', 'bob'];
  const clear: [what: string, body: string | Buffer, query?: string, type?: string][] = [
    ['under a header in capitals', 'BUYER\nann\nbob\n'],
    ['under a quoted header with blanks', '" Buyer "\r\n"ann"\r\n"bob"\r\n'],
    ['after blank lines and a mark', '\ufeff\n\nbuyer\nann\nbob\n'],
    ['after a line that names the separator', 'sep=;\r\nBuyer\r\nann\r\nbob\r\n'],
    ['in UTF-16', Buffer.from('\ufeffbuyer\r\nann\r\nbob\r\n', 'utf16le')],
    ['in the other UTF-16', Buffer.from('\ufeffbuyer\r\nann\r\nbob\r\n', 'utf16le').swap16()],
    ['from the column that is asked for', 'no,Email\n1,ann\n2,"bob"\n', '?column=email'],
    ['from a column behind semicolons', 'a;buyer_id\n"x;y";ann\n;bob\n', '?column=buyer_id'],
    [
      'from a column behind tabs, in UTF-16',
      Buffer.from('\ufeffx\tBuyer\n1\tann\n2\tbob\n', 'utf16le'),
      '?column=buyer',
    ],
    ['from the one column that has the exact name', 'Buyer,buyer\nx,ann\ny,bob\n', '?column=buyer'],
    ['from a header that is asked for by name', 'user\nann\nbob\n', '?column=user'],
    [
      'from a column with another alphabet',
      '城市,用户\n北京,ann\n,bob\n',
      `?column=${encodeURIComponent('用户')}`,
    ],
    ['without a header', 'ann\nbob\n'],
    ['under an unknown header that is asked for by name', 'Fans\nann\nbob\n', '?column=fans'],
    ['without a header, from a column by its number', 'x,ann\ny,bob\n', '?header=absent&column=2'],
    ['from the member that is asked for', '{"n":1,"Id":"ann"}\n{"Id":"bob"}', '?column=id', ndjson],
    ['from a member in capitals', '{"Buyer":"ann"}\n{"Buyer":"bob"}\n', '', ndjson],
  ];
  test.for(clear)('%s', async ([, body, query = '', type = csv]) => {
    const drop = await publish();
    const answer = await send(drop, body, { query, type });
    expect(answer.statusCode, answer.body).toBe(200);
    expect(answer.json()).toMatchObject({ imported: 2, bad: 0 });
    expect(await buyersOf(drop)).toEqual(both);
  });

  test('also when a first buyer is called like a column, once that is said', async () => {
    const drop = await publish();
    expect((await send(drop, 'user\nann\n')).statusCode).toBe(400);
    expect((await send(drop, 'user\nann\n', { query: '?header=absent' })).statusCode).toBe(200);
    expect(await buyersOf(drop)).toEqual(['ann', 'user']);
  });

  test('also when it is too short to tell the first buyer from those below, or says that there is no header', async () => {
    const short = ['alice', ...Array.from({ length: 9 }, (_, n) => `bob${n}`)];
    const lists = [short, short.slice(0, 2), ['Ann', 'bob', 'cy'], ['Ann', 'bob1', 'cy', 'Dan@x']];
    for (const buyers of lists) {
      const drop = await publish();
      const answer = await send(drop, buyers.join('\n'));
      expect(answer.json()).toMatchObject({ imported: buyers.length, bad: 0 });
      expect(await buyersOf(drop)).toEqual([...buyers].sort());
    }
  });

  test('and a header that comes again, or a line with other columns, is a bad line', async () => {
    const drop = await publish();
    const answer = await send(drop, 'buyer\nann\nbuyer\nbob,x\ncy\n');
    expect(answer.json()).toMatchObject({ imported: 2, bad: 2 });
    expect(answer.json().badLines.map(({ line }: { line: number }) => line)).toEqual([3, 4]);
    expect(await buyersOf(drop)).toEqual(['ann', 'cy']);
  });
});

test('A column that the list does not have is refused, and a number only where there is no header', async () => {
  const drop = await publish();
  for (const query of ['?column=email', '?column=2', '?header=present&column=x']) {
    const answer = await send(drop, 'buyer,city\nann,Bern\n', { query });
    expect(answer.json()).toMatchObject({ code: 'import_columns', columns: ['buyer', 'city'] });
  }
  for (const query of ['?header=absent&column=3', '?header=absent&column=buyer', '?header=maybe']) {
    const answer = await send(drop, 'ann,Bern\n', { query });
    expect(answer.json()).toMatchObject({ status: 400, code: 'invalid_request' });
  }
  expect(await buyersOf(drop)).toEqual([]);
});

test('A dry run counts what an import would do and imports nobody', async () => {
  const drop = await publish();
  await send(drop, 'buyer\nann\n');
  const list = 'buyer\nann\nbob\nbob\ntwo words\ncy\n';
  const trial = await send(drop, list, { query: '?dryRun=true' });
  const figures = { lines: 6, imported: 2, already: 2, bad: 1 };
  expect(trial.json()).toMatchObject({ dryRun: true, ...figures, badLines: [{ line: 5 }] });
  expect(await buyersOf(drop)).toEqual(['ann']);
  expect((await press(drop, 'bob')).json().code).toBe('no_appointment');
  expect((await send(drop, list)).json()).toMatchObject(figures);
});

describe('The appointments of a drop', () => {
  const odd =
    `+8613800000000 '+86 ''=1 =1+1 -1 @a 'a buyer BUYER 'buyer a,b a;b "q" sep=; x/y?%2F`.split(
      ' ',
    );

  test('exported as CSV and imported again are the same buyers, whatever they are called', async () => {
    const [from, to] = [await publish(), await publish()];
    await send(from, odd.map((buyer) => JSON.stringify(buyer)).join('\n'), { type: ndjson });
    expect(await buyersOf(from)).toEqual([...odd].sort());
    const file = await ask('GET', from, '?format=csv');
    expect(file.headers['content-type']).toContain('text/csv');
    for (const line of file.body.split('\r\n')) expect(line).not.toMatch(/^"?[=+\-@]/);
    const answer = await send(to, file.body);
    expect(answer.json()).toMatchObject({ imported: odd.length, bad: 0 });
    expect(await buyersOf(to)).toEqual(await buyersOf(from));
  });

  test('come from the exported orders too, by the column of their buyers', async () => {
    const [from, to] = [await publish({ appointment: undefined }), await publish()];
    for (const buyer of odd.slice(0, 5)) expect((await press(from, buyer)).statusCode).toBe(202);
    await engine.services.start();
    const orders = async () => {
      const url = `/v1/drops/${from.id}/orders?format=csv`;
      const { authorization } = merchant;
      return (await engine.app.inject({ url, headers: { authorization } })).body;
    };
    await expect
      .poll(async () => (await orders()).trim().split('\r\n').length, { timeout: 60_000 })
      .toBe(6);
    const answer = await send(to, await orders(), { query: '?column=buyer' });
    expect(answer.json()).toMatchObject({ imported: 5, bad: 0 });
    expect(await buyersOf(to)).toEqual(odd.slice(0, 5).sort());
  });

  test('are listed in pages, each once, to their merchant alone', async () => {
    const drop = await publish();
    const names = Array.from({ length: 25 }, (_, n) => `b-${n}`);
    await send(drop, names.join('\n'));
    const seen: string[] = [];
    let cursor = '';
    for (let page = 0; page < 4; page += 1) {
      const { appointments, next } = (await ask('GET', drop, `?limit=10${cursor}`)).json();
      seen.push(...appointments.map(({ buyer }: { buyer: string }) => buyer));
      if (next === undefined) break;
      cursor = `&cursor=${next}`;
    }
    expect(seen).toEqual([...names].sort());
    const other = (await engine.merchant()).authorization;
    for (const method of ['GET', 'DELETE'] as const) {
      expect((await ask(method, drop, '', other)).statusCode).toBe(404);
    }
    expect((await ask('DELETE', drop, '/b-1', other)).statusCode).toBe(404);
    expect(await buyersOf(drop)).toHaveLength(25);
  });

  test('are removed one by one: the buyer can buy no more, until there is one again', async () => {
    const drop = await publish();
    await send(drop, [...odd, 'dan'].map((buyer) => JSON.stringify(buyer)).join('\n'), {
      type: ndjson,
    });
    expect((await press(drop, 'dan')).statusCode).toBe(202);
    for (const buyer of [...odd, 'dan']) {
      const answer = await ask('DELETE', drop, `/${encodeURIComponent(buyer)}`);
      expect(answer.statusCode, answer.body).toBe(200);
      expect(answer.json()).toEqual({ removed: 1 });
      expect((await ask('DELETE', drop, `/${encodeURIComponent(buyer)}`)).statusCode).toBe(404);
    }
    expect(await buyersOf(drop)).toEqual([]);
    expect((await press(drop, '=1+1')).json().code).toBe('no_appointment');
    expect((await press(drop, 'dan')).statusCode).toBe(202);
    expect((await send(drop, 'buyer\n=1+1\n')).json()).toMatchObject({ imported: 1 });
    expect((await press(drop, '=1+1')).statusCode).toBe(202);
  });

  test('are removed all together, in all lanes', async () => {
    const drop = await publish();
    const names = Array.from({ length: 2_300 }, (_, n) => `"b${n}"`).join('\n');
    await send(drop, names, { type: ndjson });
    expect((await ask('DELETE', drop)).json()).toEqual({ removed: 2_300 });
    expect((await ask('DELETE', drop)).json()).toEqual({ removed: 0 });
    expect((await press(drop, 'b7')).json().code).toBe('no_appointment');
    const report = await engine.services.report(drop.id);
    expect(report?.appointments).toBe(0);
    expect((await send(drop, names, { type: ndjson })).json()).toMatchObject({ imported: 2_300 });
    expect((await engine.services.report(drop.id))?.appointments).toBe(2_300);
  });
});
