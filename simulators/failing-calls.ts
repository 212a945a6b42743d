import { setTimeout as wait } from 'node:timers/promises';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Chance, FaultPlan } from './faults.ts';
import type { ApiCall, Protocol, SimulatedBook } from './protocol.ts';

/** The faults of one API call, decided before it runs. */
type PlannedFault = { call: ApiCall; fails: boolean; hangs: boolean; slowMs: number };

const failure = {
  error: { type: 'api_error', message: 'The simulator fails as its fault settings say.' },
};

/**
 * Adds faults to the API calls of a protocol. Must be called before the routes are added, on an
 * instance of its own.
 */
export function addFailingCalls(
  app: FastifyInstance,
  options: { protocol: Protocol; book: SimulatedBook; faults: FaultPlan },
): void {
  const { faults, book, protocol } = options;
  const plannedFaults = new WeakMap<FastifyRequest, PlannedFault>();
  /** Idempotency keys of failed calls: a repeat fails again and does nothing. */
  const failed = new Set<string>();

  /** Without any fault set, requests are not inspected. */
  function isAnyFaultSet(): boolean {
    const { refuse, fail, hang, slow } = faults.settings();
    return refuse + fail + hang + slow > 0;
  }

  app.addHook('preHandler', async (request, reply) => {
    if (isPage(request) || !(isAnyFaultSet() || failed.size > 0)) return;
    const call = { ...callOf(request, book), ...defined(protocol.callOf?.(request)) };
    const happens = (chance: Chance) => faults.happens(chance, `${call.kind} ${call.reference}`);
    if (call.key !== undefined && failed.has(call.key)) return reply.code(500).send(failure);
    const [refused, fails, hangs, late] = [
      happens('refuse'),
      happens('fail'),
      happens('hang'),
      happens('slow'),
    ];
    if (refused) return reply.code(500).send(failure);
    plannedFaults.set(request, { call, fails, hangs, slowMs: late ? faults.settings().slowMs : 0 });
  });

  app.addHook('onSend', async (request, reply, payload) => {
    const planned = plannedFaults.get(request);
    if (!planned) return payload;
    if (planned.slowMs > 0) await wait(planned.slowMs, undefined, { ref: false });
    if (planned.hangs) await hungUp(reply);
    if (!planned.fails) return payload;
    if (planned.call.key !== undefined) failed.add(planned.call.key);
    const body = JSON.stringify(failure);
    reply.code(500).headers({
      'content-type': 'application/json',
      'content-length': String(Buffer.byteLength(body)),
    });
    return body;
  });
}

/** Pages for people have no faults. */
function isPage(request: FastifyRequest): boolean {
  return (
    request.routeOptions.config.page === true ||
    (request.headers.accept ?? '').includes('text/html')
  );
}

/** Resolves when the caller gives up or the simulator stops. */
function hungUp(reply: FastifyReply): Promise<void> {
  return new Promise((resolve) => {
    if (reply.raw.destroyed) resolve();
    else reply.raw.once('close', () => resolve());
  });
}

const ownReference = /fd[0-9a-f]{30}/;

function callOf(request: FastifyRequest, book: SimulatedBook): ApiCall {
  const text = `${request.url} ${(request.body as Buffer).toString('latin1')}`;
  const own = ownReference.exec(text)?.[0];
  const named =
    own ?? book.all().find(({ providerReference }) => text.includes(providerReference))?.reference;
  const key = request.headers['idempotency-key'];
  return {
    kind: `${request.method} ${request.routeOptions.url ?? ''}`,
    reference: named ?? request.url,
    ...(typeof key === 'string' && { key }),
  };
}

function defined(call: Partial<ApiCall> | undefined): Partial<ApiCall> {
  const given = Object.entries(call ?? {}).filter(([, value]) => value !== undefined);
  return Object.fromEntries(given);
}
