import { describe, expect, it } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { reference, startListener, startTiny } from './tiny-protocol.ts';

const one = reference(1);

describe('a simulated charge', () => {
  it('opened twice is one charge, with the id that it had', async () => {
    const tiny = await startTiny();
    const first = await (await tiny.open(one)).json();
    const again = await (await tiny.open(one, { amount: 5 })).json();
    expect(again).toEqual(first);
    expect(first).toMatchObject({ amount: 1_000, state: 'open' });
    expect(first).toHaveProperty('providerReference', expect.stringMatching(/^tiny_\d{8}$/));
    expect((await tiny.ledger()).charges).toHaveLength(1);
  });

  it('is captured once, however often the buyer pays', async () => {
    const tiny = await startTiny();
    await tiny.open(one);
    const outcomes = await Promise.all(Array.from({ length: 20 }, () => tiny.act(one, 'pay')));
    expect(outcomes.toSorted()).toEqual([...Array(19).fill('already'), 'captured']);
    expect((await tiny.ledger()).charges).toMatchObject([{ state: 'captured', captures: 1 }]);
  });

  it('that was closed or declined takes no money', async () => {
    const tiny = await startTiny();
    for (const [nth, verb] of (['close', 'decline'] as const).entries()) {
      const ended = reference(10 + nth);
      await tiny.open(ended);
      expect(await tiny.act(ended, verb)).toBe('closed');
      expect(await tiny.act(ended, verb)).toBe('already');
      expect(await tiny.act(ended, 'pay')).toBe('refused');
    }
    expect((await tiny.ledger()).charges).toMatchObject([
      { state: 'closed', captures: 0 },
      { state: 'declined', captures: 0 },
    ]);
  });

  it('that was captured is not closed any more', async () => {
    const tiny = await startTiny();
    await tiny.open(one);
    await tiny.act(one, 'pay');
    expect(await tiny.act(one, 'close')).toBe('captured');
    expect(await tiny.act(one, 'decline')).toBe('captured');
  });

  it('whose time is over is closed by itself, and its merchant told, when the clock says so', async () => {
    const tiny = await startTiny();
    const { url: notifyUrl, heard } = await startListener();
    await tiny.open(one, { expiresAt: Date.now() + 3_600_000, notifyUrl });
    await tiny.clock(3_590_000);
    expect((await tiny.ledger()).charges).toMatchObject([{ state: 'open' }]);
    await tiny.clock(3_600_000);
    await eventually(() => heard.length === 1);
    expect(JSON.parse(heard[0]?.body ?? '')).toMatchObject({ kind: 'closed', state: 'closed' });
    expect(await tiny.act(one, 'pay')).toBe('refused');
  });

  it('that has ended is captured all the same only where faults has it so', async () => {
    const tiny = await startTiny();
    await tiny.faults({ captureAfterClose: 1 });
    const declined = reference(2);
    await Promise.all([tiny.open(one), tiny.open(declined)]);
    await tiny.act(one, 'close');
    await tiny.act(declined, 'decline');
    expect(await tiny.act(one, 'pay')).toBe('captured');
    expect(await tiny.act(declined, 'pay')).toBe('refused');
  });
});

describe('a simulated refund', () => {
  const refund = { reference: `${one}r1`, amount: 400 };
  const kindOf = async (answer: Promise<Response>) =>
    ((await (await answer).json()) as { kind: string }).kind;

  it('gives the money back once, and never more than was captured', async () => {
    const tiny = await startTiny();
    await tiny.open(one);
    expect(await kindOf(tiny.refund(one, refund))).toBe('none');
    await tiny.act(one, 'pay');
    const kinds = await Promise.all(
      Array.from({ length: 10 }, () => kindOf(tiny.refund(one, refund))),
    );
    expect(kinds.toSorted()).toEqual([...Array(9).fill('already'), 'refunded']);
    expect(await kindOf(tiny.refund(one, { ...refund, amount: 401 }))).toBe('reused');
    expect(await kindOf(tiny.refund(one, { reference: `${one}r2`, amount: 601 }))).toBe('exceeds');
    expect(await kindOf(tiny.refund(one, { reference: `${one}r2`, amount: 600 }))).toBe('refunded');
    expect((await tiny.ledger()).charges).toMatchObject([
      { state: 'captured', refunds: [{ amount: 400 }, { amount: 600 }] },
    ]);
  });

  it('of no money, or of a part of a cent, is refused', async () => {
    const tiny = await startTiny();
    await tiny.open(one);
    await tiny.act(one, 'pay');
    for (const amount of [0, -1, 0.5]) {
      expect(await kindOf(tiny.refund(one, { ...refund, amount }))).toBe('exceeds');
    }
  });
});

describe('the control of a simulator', () => {
  it('says what is wrong with what it is told', async () => {
    const tiny = await startTiny();
    await tiny.open(one);
    const refusals: [method: string, path: string, body: object | undefined, RegExp][] = [
      ['POST', `charges/${reference(9)}/pay`, undefined, /404.*there is no charge/],
      ['POST', `charges/${one}/steal`, undefined, /404.*pay, decline or close/],
      ['PUT', 'faults', { loose: 1 }, /400.*loose is no fault.*lose/],
      ['PUT', 'faults', { lose: 2 }, /400.*lose must be a chance from 0 to 1/],
      ['PUT', 'faults', { delayMs: -1 }, /400.*delayMs must be a whole number/],
      ['PUT', 'faults', { seed: 'x' }, /400.*seed must be a whole number/],
      ['PUT', 'faults', [], /400.*JSON object/],
      ['PUT', 'clock', { offsetMs: '1' }, /400.*offsetMs/],
      ['POST', 'notifications', { reference: one }, /409.*nothing happened/],
      ['POST', 'notifications', { reference: one, forge: 'x' }, /400.*forge must be one of/],
      ['POST', 'notifications', { reference: one, times: 0 }, /400.*times must be/],
      ['POST', 'notifications', {}, /400.*reference must be/],
      ['POST', 'notifications', { reference: one, kind: 'declined' }, /409.*no message about/],
    ];
    for (const [method, path, body, message] of refusals) {
      await expect(tiny.control(method, path, body)).rejects.toThrow(message);
    }
  });

  it('hands the bytes of a request to the protocol as they came, whatever they are called', async () => {
    const tiny = await startTiny();
    const body = Buffer.from([0, 255, 123, 13, 10]);
    for (const type of ['application/json', 'text/plain', 'application/x-www-form-urlencoded']) {
      const headers = { 'content-type': type };
      const answer = await fetch(`${tiny.url}/echo`, { method: 'POST', headers, body });
      expect(await answer.text()).toBe(body.toString('hex'));
    }
    const none = await fetch(`${tiny.url}/echo`, { method: 'POST' });
    expect(await none.text()).toBe('');
    const large = Buffer.alloc(1024 * 1024 + 1);
    const refused = await fetch(`${tiny.url}/echo`, { method: 'POST', body: large });
    expect(refused.status).toBe(413);
  });
});
