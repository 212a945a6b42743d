import type { FastifyInstance } from 'fastify';
import type { AppointmentWindow } from '../../domain/drop.ts';
import type { Appointed } from '../../drops/appointments.ts';
import type { DropView } from '../../inventory/catalog.ts';
import type { Guards } from '../auth/guards.ts';
import type { AppDeps } from '../deps.ts';
import { isOver } from '../live/drops.ts';
import { Problem } from '../problems/problems.ts';
import { appointmentBody } from '../schemas/appointments.ts';
import { type Contract, schemaOf } from '../schemas/contract.ts';
import { iso, nothing } from '../schemas/fields.ts';
import { viewOf } from './public.ts';

type DropPath = { Params: { drop: string } };

/** A buyer's own appointment. */
export function appointmentRoutes(
  app: FastifyInstance,
  deps: AppDeps,
  guards: Guards,
  counted: { add(how: string): void },
): void {
  const { catalog } = deps;
  const desk = deps.services.appointments;
  const onRequest = guards.requireBuyer;

  app.post<DropPath>(
    '/v1/drops/:drop/appointment',
    { schema: schemas.make, onRequest },
    async (request, reply) => {
      const { buyer } = request;
      const { drop, window, isClosed, opensInMs } = await asked(request.params.drop);
      const open = opensInMs <= 0 && !isClosed;
      const appointed = await (open ? desk.make(drop, buyer) : desk.find(drop, buyer));
      if (!appointed && isClosed) throw new Problem('appointments_closed', shown(window));
      if (!appointed) {
        throw new Problem('appointments_not_open', { ...shown(window), retryAfterMs: opensInMs });
      }
      const { made, madeAt } = told(appointed);
      counted.add(made ? 'made' : 'already');
      reply.code(made ? 201 : 200).header('location', `/v1/drops/${drop.id}/appointment`);
      return { drop: drop.id, buyer, madeAt: iso(madeAt) };
    },
  );

  app.get<DropPath>(
    '/v1/drops/:drop/appointment',
    { schema: schemas.read, onRequest },
    async (request, reply) => {
      const { buyer } = request;
      const { drop } = await asked(request.params.drop);
      const appointed = await desk.find(drop, buyer);
      if (!appointed) throw new Problem('unknown_appointment');
      reply.header('cache-control', 'no-store');
      return { drop: drop.id, buyer, madeAt: iso(told(appointed).madeAt) };
    },
  );

  /** The drop of a path and where its window stands on Redis' clock. */
  async function asked(dropId: string) {
    const view: DropView = await viewOf(catalog, dropId);
    const { drop } = view;
    const window = drop.appointment;
    if (!window) throw new Problem('appointments_not_offered');
    const now = catalog.redisNow();
    const isClosed = now >= window.until || isOver(view);
    return { drop, window, isClosed, opensInMs: window.from - now };
  }
}

function shown({ from, until }: AppointmentWindow): { from: string; until: string } {
  return { from: iso(from), until: iso(until) };
}

function told(appointed: Appointed): Extract<Appointed, { kind: 'appointed' }> {
  if (appointed.kind === 'frozen') throw new Problem('drop_frozen');
  if (appointed.kind === 'overloaded') throw new Problem('overloaded');
  return appointed;
}

const buyer: Pick<Contract, 'tag' | 'who'> = { tag: 'Buyers', who: 'buyer' };

const schemas = {
  make: schemaOf({
    ...buyer,
    summary: 'Make an appointment',
    description:
      'For a drop that sells to buyers with an appointment only. Repeating it is harmless.',
    body: nothing,
    answers: {
      201: {
        description: 'The appointment, made now',
        schema: appointmentBody,
        headers: { Location: 'The appointment' },
      },
      200: { description: 'The appointment, made before', schema: appointmentBody },
    },
    problems: [
      'unknown_drop',
      'appointments_not_offered',
      'appointments_not_open',
      'appointments_closed',
      'drop_frozen',
      'overloaded',
    ],
  }),
  read: schemaOf({
    ...buyer,
    summary: 'Your appointment',
    answers: { 200: { description: 'The appointment', schema: appointmentBody } },
    problems: ['unknown_drop', 'unknown_appointment', 'appointments_not_offered', 'drop_frozen'],
  }),
};
