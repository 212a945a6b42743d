import { describe, expect, it } from 'vitest';
import { forgeries } from '../../simulators/protocol.ts';
import { eventually } from '../support/eventually.ts';
import { type Heard, reference, startListener, startTiny } from './tiny-protocol.ts';

const one = reference(1);
const two = reference(2);
const kindOf = ({ body }: Heard) => (JSON.parse(body) as { kind: string }).kind;

describe('a notification', () => {
  it('is repeated until it is taken, and not once more', async () => {
    const tiny = await startTiny();
    const { url: notifyUrl, heard } = await startListener((nth) => (nth < 4 ? 500 : 200));
    await tiny.open(one, { notifyUrl });
    await tiny.act(one, 'pay');
    await eventually(async () => (await tiny.ledger()).taken === 1);
    expect(heard).toHaveLength(4);
    // A repeat is the same message: its id does not change.
    expect(new Set(heard.map(({ body }) => body)).size).toBe(1);
    const [first, ...later] = heard.map(({ at }) => at) as [number, ...number[]];
    expect(later.map((at) => at - first >= 50)).toEqual([true, true, true]);
    expect(await tiny.ledger()).toMatchObject({ sent: 4, answers: { 200: 1, 500: 3 } });
  });

  it('that finds nobody is tried again, and is not taken', async () => {
    const tiny = await startTiny();
    await tiny.open(two, { notifyUrl: 'http://127.0.0.1:9/nobody' });
    await tiny.act(two, 'pay');
    await eventually(async () => ((await tiny.ledger()).answers[0] ?? 0) >= 3);
    expect((await tiny.ledger()).taken).toBe(0);
  });

  it('is sent again on demand, in parallel too, as the same message', async () => {
    const tiny = await startTiny();
    const { url: notifyUrl, heard } = await startListener();
    await tiny.open(one, { notifyUrl });
    await tiny.act(one, 'pay');
    await eventually(() => heard.length === 1);
    const answers = await tiny.notify({ reference: one, times: 50, parallel: true });
    expect(answers).toEqual(Array(50).fill({ status: 200, body: 'ok' }));
    await tiny.notify({ reference: one, times: 3 });
    expect(heard).toHaveLength(54);
    expect(new Set(heard.map(({ body }) => body)).size).toBe(1);
  });

  it('can lie about what never happened, and the book stays as it is', async () => {
    const tiny = await startTiny();
    const { url: notifyUrl, heard } = await startListener();
    await tiny.open(one, { notifyUrl });
    await tiny.notify({ reference: one, kind: 'captured' });
    expect(JSON.parse(heard[0]?.body ?? '')).toMatchObject({ kind: 'captured', state: 'captured' });
    expect((await tiny.ledger()).charges).toMatchObject([{ state: 'open', captures: 0 }]);
  });

  it('tells the charge as it was when it happened, however late it comes', async () => {
    const tiny = await startTiny();
    const { url: notifyUrl, heard } = await startListener((nth) => (nth === 1 ? 500 : 200));
    await tiny.open(one, { notifyUrl });
    await tiny.act(one, 'pay');
    await tiny.refund(one, { reference: `${one}r1`, amount: 1_000 });
    await eventually(() => heard.length === 3);
    expect(heard.map(kindOf).toSorted()).toEqual(['captured', 'captured', 'refunded']);
  });

  it('under way when the simulator stops is let go', async () => {
    const tiny = await startTiny();
    const { url: notifyUrl, heard } = await startListener(() => -1);
    await tiny.open(one, { notifyUrl });
    await tiny.act(one, 'pay');
    await eventually(() => heard.length === 1);
    // Nobody ever answers: a stop that waited for an answer would not end.
    await tiny.stop();
  });
});

describe('faults with notifications', () => {
  it('loses them', async () => {
    const tiny = await startTiny();
    const { url: notifyUrl, heard } = await startListener();
    await tiny.faults({ lose: 1 });
    await tiny.open(one, { notifyUrl });
    await tiny.act(one, 'pay');
    await eventually(async () => (await tiny.ledger()).lost === 1);
    await tiny.faults({ lose: 0 });
    await tiny.refund(one, { reference: `${one}r1`, amount: 1 });
    await eventually(() => heard.length === 1);
    expect(heard.map(kindOf)).toEqual(['refunded']);
  });

  it('sends them late, so that later ones come first', async () => {
    const tiny = await startTiny();
    const { url: notifyUrl, heard } = await startListener();
    await tiny.faults({ delay: 1, delayMs: 300 });
    await tiny.open(one, { notifyUrl });
    const paid = performance.now();
    await tiny.act(one, 'pay');
    // Its own luck is drawn by now; the next message has no such.
    await tiny.faults({ delay: 0 });
    await tiny.refund(one, { reference: `${one}r1`, amount: 1 });
    await eventually(() => heard.length === 2);
    expect(heard.map(kindOf)).toEqual(['refunded', 'captured']);
    expect((heard[1]?.at ?? 0) - paid).toBeGreaterThanOrEqual(290);
  });

  it('holds them back until a later one has passed', async () => {
    const tiny = await startTiny();
    const { url: notifyUrl, heard } = await startListener();
    await tiny.faults({ reorder: 1 });
    await tiny.open(one, { notifyUrl });
    await tiny.act(one, 'pay');
    await tiny.faults({ reorder: 0 });
    await tiny.refund(one, { reference: `${one}r1`, amount: 1 });
    await eventually(() => heard.length === 2);
    expect(heard.map(kindOf)).toEqual(['refunded', 'captured']);
  });

  it('sends them several times', async () => {
    const tiny = await startTiny();
    const { url: notifyUrl, heard } = await startListener();
    await tiny.faults({ repeat: 1, repeats: 4 });
    await tiny.open(one, { notifyUrl });
    await tiny.act(one, 'pay');
    await eventually(() => heard.length === 5);
    expect(new Set(heard.map(({ body }) => body)).size).toBe(1);
  });

  it('sends forged ones beside them, once each, and counts apart how those are answered', async () => {
    const tiny = await startTiny();
    const { url: notifyUrl, heard } = await startListener((_nth, { forge }) => (forge ? 401 : 200));
    await tiny.faults({ forge: 1 });
    await tiny.open(one, { notifyUrl });
    await tiny.act(one, 'pay');
    await eventually(() => heard.length === 2);
    await eventually(async () => (await tiny.ledger()).answersToForgeries[401] === 1);
    expect(await tiny.ledger()).toMatchObject({ taken: 1, forged: 1, forgeriesTaken: 0 });
    expect(forgeries).toContain(heard.find(({ forge }) => forge)?.forge);
  });

  it('tells when somebody believes a forged one', async () => {
    const tiny = await startTiny();
    const { url: notifyUrl, heard } = await startListener();
    await tiny.open(one, { notifyUrl });
    for (const forge of forgeries) await tiny.notify({ reference: one, forge });
    expect(heard.map(({ forge }) => forge)).toEqual([...forgeries]);
    expect(await tiny.ledger()).toMatchObject({ sent: 0, forged: 8, forgeriesTaken: 8 });
  });
});
