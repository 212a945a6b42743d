import { connect } from 'node:net';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Drop } from '../../../src/domain/drop.ts';
import { homeLane } from '../../../src/domain/ids.ts';
import type { Lanes } from '../../../src/inventory/lanes.ts';
import { startTestEngine, type TestEngine } from '../../support/engine.ts';
import { eventually } from '../../support/eventually.ts';
import { sharedRedisUrl } from '../../support/redis.ts';

const hour = 3_600_000;
/** Stands before the lanes' `appoint`, for tests of what happens when it fails. */
let appointing: ((buyers: string[]) => void | Promise<void>) | undefined;
let engine: TestEngine;
let merchant: Awaited<ReturnType<TestEngine['merchant']>>;
let address: string;

beforeAll(async () => {
  engine = await startTestEngine({
    redisUrl: sharedRedisUrl(),
    settling: false,
    settings: { requestTimeoutMs: 3_000, headersTimeoutMs: 3_000 },
    lanes: (lanes): Lanes => ({
      ...lanes,
      async appoint(ref, buyers) {
        await appointing?.(buyers);
        return lanes.appoint(ref, buyers);
      },
    }),
  });
  merchant = await engine.merchant();
  address = await engine.serve();
});
afterAll(() => engine?.stop());

function publish(overrides: Partial<Drop> = {}): Promise<Drop> {
  const now = Date.now();
  const appointment = { from: now - hour, until: now + hour };
  return engine.publish(merchant.id, { appointment, ...overrides });
}

function ask(method: 'GET' | 'POST', drop: { id: string }, buyer = 'ann') {
  const url = `/v1/drops/${drop.id}/appointment`;
  return engine.app.inject({ method, url, headers: engine.buyer(buyer) });
}

function press(drop: { id: string }, buyer = 'ann', key = 'k1') {
  return engine.app.inject({
    method: 'POST',
    url: `/v1/drops/${drop.id}/orders`,
    headers: { ...engine.buyer(buyer), 'idempotency-key': key },
    payload: { sku: 'phone', quantity: 1, payment: { method: 'wallet' } },
  });
}

function send(drop: { id: string }, payload: string | Buffer, headers = {}) {
  return engine.app.inject({
    method: 'POST',
    url: `/v1/drops/${drop.id}/appointments/import`,
    headers: {
      authorization: merchant.authorization,
      'content-type': 'application/x-ndjson',
      ...headers,
    },
    payload,
  });
}

describe('An appointment', () => {
  test('is made once: 201, then 200 with the same body, and it can be read', async () => {
    const drop = await publish();
    expect((await ask('GET', drop)).json().code).toBe('unknown_appointment');
    const first = await ask('POST', drop);
    expect(first.statusCode, first.body).toBe(201);
    expect(first.json()).toMatchObject({ drop: drop.id, buyer: 'ann' });
    const again = await ask('POST', drop);
    expect(again.statusCode).toBe(200);
    const read = await ask('GET', drop);
    expect(read.statusCode).toBe(200);
    for (const { body } of [again, read]) expect(body).toBe(first.body);
  });

  test('is made by one of fifty concurrent requests', async () => {
    const drop = await publish();
    const answers = await Promise.all(Array.from({ length: 50 }, () => ask('POST', drop)));
    expect(answers.filter(({ statusCode }) => statusCode === 201)).toHaveLength(1);
    expect(new Set(answers.map(({ body }) => body)).size).toBe(1);
  });

  test('is refused before its window with the time of the window, and after it for good', async () => {
    const now = Date.now();
    const early = await publish({ appointment: { from: now + hour / 2, until: now + hour } });
    const before = await ask('POST', early);
    expect(before.statusCode).toBe(409);
    expect(before.json().code).toBe('appointments_not_open');
    expect(Number(before.headers['retry-after'])).toBeGreaterThan(1_700);
    const late = await publish({ appointment: { from: now - hour, until: now - 1 } });
    const after = await ask('POST', late);
    expect([after.statusCode, after.json().code]).toEqual([409, 'appointments_closed']);
    expect((await send(late, '"ann"')).json()).toMatchObject({ imported: 1 });
    expect((await ask('POST', late)).statusCode).toBe(200);
  });

  test('is not offered by a drop that needs none, or that does not exist', async () => {
    const drop = await engine.publish(merchant.id);
    for (const answer of [await ask('POST', drop), await ask('GET', drop), await send(drop, '"a"')])
      expect([answer.statusCode, answer.json().code]).toEqual([409, 'appointments_not_offered']);
    for (const id of ['drop_aaaaaaaaaaaa', '%00'])
      expect((await ask('POST', { id })).statusCode).toBe(404);
  });

  test('is counted on the card, rounded down, beside the window', async () => {
    const drop = await publish();
    const names = Array.from({ length: 123 }, (_, n) => `"b${n}"`).join('\n');
    await send(drop, names);
    await eventually(async () => {
      const card = (await engine.app.inject(`/v1/drops/${drop.id}`)).json();
      return card.appointment?.required === true && card.appointment.count === 120;
    });
    const plain = await engine.publish(merchant.id);
    expect((await engine.app.inject(`/v1/drops/${plain.id}`)).json().appointment).toBeNull();
  });

  test('that is only in the ledger reaches its lane when it is requested again', async () => {
    const drop = await publish();
    appointing = () => {
      throw new Error('Command timed out');
    };
    expect((await ask('POST', drop)).statusCode).toBe(503);
    appointing = undefined;
    expect((await press(drop)).json().code).toBe('no_appointment');
    expect((await ask('GET', drop)).statusCode).toBe(200);
    expect((await press(drop)).statusCode).toBe(202);
  });
});

describe('A Buy in a drop that needs appointments', () => {
  test('is refused without one, and accepted as soon as there is one', async () => {
    const drop = await publish();
    const refused = await press(drop);
    expect([refused.statusCode, refused.json().code]).toEqual([403, 'no_appointment']);
    await ask('POST', drop);
    expect((await press(drop)).statusCode).toBe(202);
    expect((await press(drop, 'bob')).statusCode).toBe(403);
  });

  test('Whether a buyer has an appointment is decided by the buyer’s home lane, whichever lane that is', async () => {
    const drop = await publish({ lanes: 3 });
    const buyers = Array.from({ length: 9 }, (_, n) => `b${n}`);
    expect(new Set(buyers.map((buyer) => homeLane(buyer, 3))).size).toBe(3);
    for (const buyer of buyers) await ask('POST', drop, buyer);
    for (const buyer of buyers) {
      expect((await press(drop, buyer)).json().code).not.toBe('no_appointment');
      expect((await press(drop, `not-${buyer}`)).json().code).toBe('no_appointment');
    }
  });

  test('before the opening is refused because of the opening first', async () => {
    const drop = await publish({ startsAt: Date.now() + hour / 2 });
    expect((await press(drop)).json().code).toBe('drop_not_open');
  });
});

describe('An import', () => {
  test('accepts both forms of a line, and reports each bad line by its number', async () => {
    const drop = await publish();
    const odd = '!"#{}|:~';
    const lines = [
      '"ann"',
      '{"buyer":"bob"}\r',
      '',
      'nonsense',
      '"ann"',
      '{"buyer":"x","more":1}',
      '"two words"',
      `"${'x'.repeat(3_000)}"`,
      '42',
      JSON.stringify(odd),
    ];
    const body = Buffer.concat([Buffer.from(`${lines.join('\n')}\n"`), Buffer.from([0xff, 0x22])]);
    const answer = await send(drop, body);
    expect(answer.statusCode, answer.body).toBe(200);
    const { badLines, ...figures } = answer.json();
    expect(figures).toEqual({ lines: 11, imported: 3, already: 1, bad: 6 });
    expect(badLines.map(({ line }: { line: number }) => line)).toEqual([4, 6, 7, 8, 9, 11]);
    for (const buyer of ['ann', 'bob', odd])
      expect((await press(drop, buyer)).statusCode).toBe(202);
    expect((await send(drop, body)).json()).toMatchObject({ imported: 0, already: 4 });
  });

  test('accepts one CSV column, with or without a header, quoted or not', async () => {
    const drop = await publish();
    const lines = [
      '\ufeffbuyer',
      'ann',
      '"bob"',
      '"o""brien, jr"',
      '',
      'a,b',
      'carl"',
      'two words',
      '"never closed',
      "dan's",
      '"e,""f"',
    ];
    const answer = await send(drop, lines.join('\r\n'), {
      'content-type': 'text/csv; charset=utf-8',
    });
    const { badLines, ...figures } = answer.json();
    expect(figures).toEqual({ lines: 11, imported: 4, already: 0, bad: 5 });
    expect(badLines.map(({ line }: { line: number }) => line)).toEqual([4, 6, 7, 8, 9]);
    for (const buyer of ['ann', 'bob', "dan's", 'e,"f'])
      expect((await press(drop, buyer)).statusCode).toBe(202);
    const bare = await send(drop, 'gus\nbuyer\n', { 'content-type': 'text/csv' });
    expect(bare.json()).toMatchObject({ lines: 2, imported: 2 });
  });

  test('of an empty list imports nothing', async () => {
    const figures = { lines: 0, imported: 0, already: 0, bad: 0, badLines: [] };
    expect((await send(await publish(), '')).json()).toEqual(figures);
  });

  test('reads no further than it can write', async () => {
    const drop = await publish();
    const gate = Promise.withResolvers<void>();
    appointing = () => gate.promise;
    let read = 0;
    async function* parts() {
      for (let part = 1; part <= 5; part += 1) {
        read = part;
        yield { buyers: [`b${part}`], lines: part, bad: 0 };
      }
    }
    const taken = engine.services.appointments.takeList(drop, parts());
    const { appointments } = engine.ledger;
    await eventually(async () => await appointments.find({ drop: drop.id, buyer: 'b2' }));
    for (let turn = 0; turn < 100; turn += 1) await new Promise(setImmediate);
    expect(await appointments.find({ drop: drop.id, buyer: 'b3' })).toBeUndefined();
    expect(read).toBe(2);
    appointing = undefined;
    gate.resolve();
    expect((await taken).progress).toMatchObject({ lines: 5, imported: 5 });
  });

  test('reports the first hundred bad lines and counts the rest', async () => {
    const answer = await send(await publish(), 'x\n'.repeat(250));
    expect(answer.json()).toMatchObject({ lines: 250, bad: 250 });
    expect(answer.json().badLines).toHaveLength(100);
  });

  test('that is interrupted says which lines were imported for certain, and can be repeated', async () => {
    const drop = await publish();
    const names = Array.from({ length: 2_500 }, (_, n) => `{"buyer":"b${n}"}`).join('\n');
    let calls = 0;
    appointing = () => {
      calls += 1;
      if (calls === 3) throw new Error('Connection is closed.');
    };
    const broken = await send(drop, names);
    appointing = undefined;
    expect(broken.statusCode).toBe(503);
    expect(broken.json()).toMatchObject({
      code: 'import_broken_off',
      lines: 2_000,
      imported: 2_000,
    });
    const again = await send(drop, names);
    expect(again.json()).toMatchObject({ lines: 2_500, imported: 0, already: 2_500, bad: 0 });
    expect((await press(drop, 'b2499')).statusCode).toBe(202);
  });

  test('that fails while it is still being sent is answered nevertheless', async () => {
    const drop = await publish();
    let calls = 0;
    appointing = () => {
      calls += 1;
      if (calls === 2) throw new Error('Command timed out');
    };
    let sent = 0;
    function* lines() {
      for (; sent < 400; sent += 1) {
        yield Array.from({ length: 1_000 }, (_, n) => `"b${sent}-${n}"\n`).join('');
      }
    }
    const answer = await fetch(`${address}/v1/drops/${drop.id}/appointments/import`, {
      method: 'POST',
      headers: {
        authorization: merchant.authorization,
        'content-type': 'application/x-ndjson',
      },
      body: Readable.from(lines()),
      duplex: 'half',
    } as unknown as RequestInit);
    appointing = undefined;
    expect(answer.status).toBe(503);
    expect(await answer.json()).toMatchObject({ code: 'import_broken_off', lines: 1_000 });
  });

  test('whose client disconnects leaves out the incomplete line, and the log says how far it got', async () => {
    const drop = await publish();
    const { hostname, port } = new URL(address);
    const socket = connect(Number(port), hostname);
    socket.write(
      `POST /v1/drops/${drop.id}/appointments/import HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n` +
        `Authorization: ${merchant.authorization}\r\nContent-Type: application/x-ndjson\r\n\r\n` +
        `${'"ann"\n'.repeat(1_000)}"bobby`,
    );
    await eventually(async () => (await press(drop)).statusCode === 202);
    socket.destroy();
    await eventually(() =>
      engine.logged.some((line) => line.includes('broke off') && line.includes('"lines":1000')),
    );
    expect((await ask('GET', drop, 'bobby')).statusCode).toBe(404);
  });

  test('may take longer than other requests', async () => {
    const drop = await publish();
    const { hostname, port } = new URL(address);
    const socket = connect(Number(port), hostname);
    let answer = '';
    socket.on('data', (data) => {
      answer += data;
    });
    socket.write(
      `POST /v1/drops/${drop.id}/appointments/import HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n` +
        `Authorization: ${merchant.authorization}\r\nContent-Type: application/x-ndjson\r\n\r\n"ann"`,
    );
    // One that may not take its time, sent after it, has been given up on.
    const other = connect(Number(port), hostname);
    let refused = '';
    other.on('data', (data) => {
      refused += data;
    });
    other.write('POST /v1/drops HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{');
    await eventually(() => refused.includes('408'));
    socket.write('\n"bob"');
    await eventually(() => answer.includes('"imported":2'));
    socket.destroy();
  });

  test('is refused to other merchants, for other content types, and for a draft', async () => {
    const drop = await publish();
    const stranger = (await engine.merchant()).authorization;
    expect((await send(drop, '"a"', { authorization: stranger })).statusCode).toBe(404);
    const { authorization } = engine.buyer('ann');
    expect((await send(drop, '"a"', { authorization })).statusCode).toBe(401);
    for (const type of ['application/json', 'text/plain'])
      expect((await send(drop, '"a"', { 'content-type': type })).statusCode).toBe(415);
    expect((await press(drop, 'a')).json().code).toBe('no_appointment');
  });
});

test('A draft gets a default window for appointments, and an impossible window is refused', async () => {
  const now = Date.now();
  const at = (ms: number) => new Date(now + ms).toISOString();
  const create = (appointment: object) =>
    engine.app.inject({
      method: 'POST',
      url: '/v1/drops',
      headers: { authorization: merchant.authorization },
      payload: {
        title: 'a drop',
        currency: 'CNY',
        startsAt: at(hour),
        endsAt: at(2 * hour),
        items: [{ sku: 'a', title: 'a', unitAmount: 1, allotment: 1, perBuyer: 1 }],
        appointment,
      },
    });
  const made = (await create({})).json();
  expect(made.appointment).toMatchObject({ required: true, until: at(hour) });
  expect(Date.parse(made.appointment.from)).toBeGreaterThanOrEqual(now);
  for (const wrong of [{ until: at(-hour) }, { until: at(3 * hour) }, { from: at(hour) }]) {
    const answer = await create(wrong);
    expect(answer.statusCode).toBe(400);
    expect(answer.json().errors[0].field).toBe('appointment.until');
  }
  expect((await send(made, '"ann"')).json()).toMatchObject({ code: 'drop_action_refused' });
});

describe('The merchant', () => {
  const look = async (drop: Drop, what: 'report' | 'audit') => {
    const { authorization } = merchant;
    const url = `/v1/drops/${drop.id}/${what}`;
    return (await engine.app.inject({ url, headers: { authorization } })).json();
  };
  const limits = async (drop: Drop) => {
    const { checks } = await look(drop, 'audit');
    return checks.find(({ promise }: { promise: number }) => promise === 7);
  };

  test('sees the number of appointments in report and audit', async () => {
    const drop = await publish();
    await send(drop, '"ann"\n"bob"');
    expect(await look(drop, 'report')).toMatchObject({ appointments: 2 });
    const figures = { appointments: 2, appointmentsInLanes: 2 };
    expect(await limits(drop)).toMatchObject({ ok: true, figures });
  });

  test('learns from the audit of an appointment that its lane has lost', async () => {
    const drop = await publish();
    await send(drop, '"ann"');
    await engine.ledger.appointments.add(drop.id, ['bob']);
    const findings = ['1 appointments by the lanes, 2 by the ledger'];
    expect(await limits(drop)).toMatchObject({ ok: false, findings });
  });

  test('learns from the audit of an order whose buyer has no appointment', async () => {
    const drop = await publish();
    await engine.deps.lanes.appoint({ drop: drop.id, lane: 0 }, ['mallory']);
    const bought = await press(drop, 'mallory');
    expect(bought.statusCode).toBe(202);
    const { id, ...order } = { ...bought.json(), drop: drop.id, buyer: 'mallory', item: 0 };
    const event = { ...order, id, method: 'wallet', reason: '', version: 1 };
    const expiresAt = Date.parse(order.expiresAt);
    await engine.ledger.orders.upsert([{ order: { ...event, expiresAt }, at: Date.now() }]);
    const { findings } = await limits(drop);
    expect(findings).toContain(`${id}: its buyer has no appointment`);
  });
});
