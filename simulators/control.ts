import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { asItIs } from './book.ts';
import { type FaultPlan, readFaults } from './faults.ts';
import type { Notifier } from './notifier.ts';
import {
  type BookEvent,
  type Forgery,
  forgeries,
  type SimulatedBook,
  type Simulator,
} from './protocol.ts';

export const eventKinds = ['captured', 'declined', 'closed', 'refunded'] as const;

/** Control routes for tests, auditors and people; a real provider has none of them. */
export function addControl(
  app: FastifyInstance,
  options: {
    simulator: Simulator;
    faults: FaultPlan;
    notifier: Notifier;
    /** The last event of a charge, of one kind or of any. */
    lastEvent(reference: string, kind?: BookEvent['kind']): BookEvent | undefined;
    shiftClock(offsetMs: number): void;
  },
): void {
  const { simulator, faults, notifier } = options;
  const { book } = simulator;

  app.get('/_control/book', async () => ({ charges: book.all(), ...notifier.figures() }));

  const acts: Record<
    string,
    (reference: string) => ReturnType<SimulatedBook['capture' | 'close']>
  > = {
    pay: book.capture,
    decline: (reference) => book.close(reference, 'declined'),
    close: (reference) => book.close(reference, 'closed'),
  };
  app.post('/_control/charges/:reference/:act', async (request, reply) => {
    const { reference, act } = request.params as { reference: string; act: string };
    const does = Object.hasOwn(acts, act) ? acts[act] : undefined;
    if (!does) return refuse(reply, 404, `${act} is nothing a buyer does: pay, decline or close`);
    if (!book.find(reference)) return refuse(reply, 404, noCharge(reference));
    return { outcome: does(reference) };
  });

  app.post('/_control/refunds/:reference/:act', async (request, reply) => {
    const { reference, act } = request.params as { reference: string; act: string };
    if (act !== 'fail' && act !== 'succeed') {
      return refuse(reply, 404, `${act} is nothing that a refund does: fail or succeed`);
    }
    const refund = book.changeRefund(reference, { failed: act === 'fail' });
    return refund ?? refuse(reply, 404, `there is no refund ${reference}`);
  });

  app.put('/_control/faults', async (request, reply) => {
    const given = readJson(request);
    if (typeof given === 'string') return refuse(reply, 400, given);
    const { seed, ...rest } = given;
    if (seed !== undefined && !isSeed(seed))
      return refuse(reply, 400, 'seed must be a whole number');
    const change = readFaults(rest);
    if (typeof change === 'string') return refuse(reply, 400, change);
    faults.set(change, seed);
    return faults.settings();
  });

  app.put('/_control/clock', async (request, reply) => {
    const given = readJson(request);
    if (typeof given === 'string') return refuse(reply, 400, given);
    const { offsetMs } = given;
    if (!Number.isSafeInteger(offsetMs)) {
      return refuse(reply, 400, 'offsetMs must be a whole number of milliseconds');
    }
    options.shiftClock(offsetMs as number);
    return { now: simulator.now() };
  });

  app.post('/_control/notifications', async (request, reply) => {
    const asked = readAsked(readJson(request));
    if (typeof asked === 'string') return refuse(reply, 400, asked);
    const { reference, kind, forge } = asked;
    const charge = book.find(reference);
    if (!charge) return refuse(reply, 404, noCharge(reference));
    const happened = options.lastEvent(reference, kind);
    if (!happened && !kind && !forge) {
      return refuse(
        reply,
        409,
        `nothing happened to ${reference} yet: name a kind to lie about it`,
      );
    }
    const event = happened ?? invented(simulator, reference, kind ?? 'captured');
    const answers = await notifier.send(event, asked);
    return answers ?? refuse(reply, 409, `this provider has no message about ${event.kind}`);
  });
}

/** An event that never happened, for forged notifications. */
function invented(
  simulator: Simulator,
  reference: string,
  kind: (typeof eventKinds)[number],
): BookEvent {
  const found = simulator.book.find(reference);
  if (!found) throw new Error('bug: a charge that was there is gone');
  const at = simulator.now();
  const paid = kind === 'captured' || kind === 'refunded';
  const charge = asItIs(found);
  if (paid) Object.assign(charge, { state: 'captured', capturedAt: at, captures: 1 });
  else charge.state = kind;
  const refund = {
    reference: `${reference}r1`,
    providerReference: simulator.id('lie', 24),
    amount: charge.amount,
    at,
  };
  if (kind === 'refunded') charge.refunds.push(refund);
  return { kind, charge, ...(kind === 'refunded' && { refund }), id: simulator.id('evt_', 24), at };
}

type Asked = {
  reference: string;
  kind?: (typeof eventKinds)[number];
  times?: number;
  parallel?: boolean;
  forge?: Forgery;
};

/** What each field of `Asked` must be, for error messages. */
const fields: { [K in keyof Required<Asked>]: [(value: unknown) => boolean, string] } = {
  reference: [(value) => typeof value === 'string', 'the reference of a charge'],
  kind: [(value) => eventKinds.some((kind) => kind === value), `one of ${eventKinds.join(', ')}`],
  times: [(value) => Number.isInteger(value) && isWithin(value as number), 'from 1 to 1000'],
  parallel: [(value) => typeof value === 'boolean', 'true or false'],
  forge: [(value) => forgeries.some((name) => name === value), `one of ${forgeries.join(', ')}`],
};

function readAsked(given: Record<string, unknown> | string): Asked | string {
  if (typeof given === 'string') return given;
  for (const [name, [isGood, allowed]] of Object.entries(fields)) {
    const missing = given[name] === undefined;
    if (missing ? name === 'reference' : !isGood(given[name])) return `${name} must be ${allowed}`;
  }
  return given as Asked;
}

function isWithin(times: number): boolean {
  return times >= 1 && times <= 1_000;
}

function isSeed(value: unknown): value is number {
  return Number.isSafeInteger(value);
}

function readJson({ body }: FastifyRequest): Record<string, unknown> | string {
  try {
    const value: unknown = JSON.parse((body as Buffer).toString('utf8'));
    if (value !== null && typeof value === 'object' && !Array.isArray(value)) {
      return value as Record<string, unknown>;
    }
  } catch {
    // Answered below with the same error.
  }
  return 'the body must be a JSON object';
}

function noCharge(reference: string): string {
  return `there is no charge ${reference}`;
}

function refuse(reply: FastifyReply, status: number, error: string): FastifyReply {
  return reply.code(status).send({ error });
}
