import { createHmac } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';
import type { Answer, NotificationFigures } from '../../simulators/notifier.ts';
import type { BookedCharge, Faults, Forgery, Protocol } from '../../simulators/protocol.ts';
import { serveSimulator } from '../../simulators/server.ts';
import { openControl } from '../support/simulators.ts';

const secret = 'a secret of the tests';

/** The smallest provider there can be: signed JSON, and `ok` takes a message. */
function openTinyProtocol(): Protocol {
  return {
    provider: 'stripe',
    settings: (url) => ({ FLASHDROP_TINY_URL: url }),
    newId: (of, simulator) => simulator.id(of === 'charge' ? 'tiny_' : 'back_', 8, '0123456789'),
    routes(app, { book }) {
      app.post('/charges', async (request) => {
        const asked = JSON.parse((request.body as Buffer).toString());
        return book.open(asked).charge;
      });
      app.get('/charges/:reference', async (request, reply) => {
        const { reference } = request.params as { reference: string };
        return book.find(reference) ?? reply.code(404).send({});
      });
      app.post('/charges/:reference/refunds', async (request) => {
        const { reference } = request.params as { reference: string };
        return book.refund(reference, JSON.parse((request.body as Buffer).toString()));
      });
      app.post('/echo', async (request) => (request.body as Buffer).toString('hex'));
      app.get('/pay', { config: { page: true } }, async () => 'a page');
    },
    notification({ charge, kind, id }, _simulator, forge) {
      if (kind === 'declined') return undefined;
      const { reference, amount } = charge;
      const body = JSON.stringify({ id, kind, reference, amount, state: charge.state });
      const signature = forge ? 'forged' : createHmac('sha256', secret).update(body).digest('hex');
      return { headers: { signature, 'x-forge': forge ?? '' }, body: Buffer.from(body) };
    },
    isTaken: ({ status, body }) => status === 200 && body === 'ok',
  };
}

export type Heard = { body: string; forge: string; signature: string; at: number };

/** Somebody who is told, and answers what `answer` says. */
export async function startListener(answer: (nth: number, heard: Heard) => number = () => 200) {
  const heard: Heard[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { signature, 'x-forge': forge } = request.headers;
      const message = {
        body: Buffer.concat(chunks).toString(),
        forge: String(forge),
        signature: String(signature),
        at: performance.now(),
      };
      heard.push(message);
      const status = answer(heard.length, message);
      if (status > 0) response.writeHead(status).end(status === 200 ? 'ok' : 'no');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}/told`, heard };
}

const nobody = 'http://127.0.0.1:9/nobody';

/** A simulator of that provider, which stops with the test, and what a test does with it. */
export async function startTiny({ seed = 1 }: { seed?: number } = {}) {
  const simulator = await serveSimulator(openTinyProtocol(), { seed, publicUrl: nobody });
  onTestFinished(simulator.stop);
  const { url } = simulator;
  const control = openControl(url);
  return {
    ...simulator,
    control,
    open: (reference: string, more: object = {}, headers: Record<string, string> = {}) =>
      fetch(`${url}/charges`, {
        method: 'POST',
        headers,
        body: JSON.stringify({
          reference,
          amount: 1_000,
          currency: 'CNY',
          notifyUrl: nobody,
          ...more,
        }),
      }),
    refund: (reference: string, refund: { reference: string; amount: number }) =>
      fetch(`${url}/charges/${reference}/refunds`, {
        method: 'POST',
        body: JSON.stringify(refund),
      }),
    act: async (reference: string, verb: 'pay' | 'decline' | 'close') =>
      (await control<{ outcome: string }>('POST', `charges/${reference}/${verb}`)).outcome,
    ledger: () => control<{ charges: BookedCharge[] } & NotificationFigures>('GET', 'book'),
    faults: (change: Partial<Faults> & { seed?: number }) =>
      control<Faults>('PUT', 'faults', change),
    notify: (asked: {
      reference: string;
      kind?: string;
      times?: number;
      parallel?: boolean;
      forge?: Forgery;
    }) => control<Answer[]>('POST', 'notifications', asked),
    clock: (offsetMs: number) => control('PUT', 'clock', { offsetMs }),
  };
}

/** A reference as the engine makes them. */
export function reference(nth: number): string {
  return `fd${nth.toString(16).padStart(30, '0')}`;
}
