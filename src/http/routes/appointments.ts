import type { FastifyInstance } from 'fastify';
import type { AppointmentWindow } from '../../domain/drop.ts';
import { type AppointmentOpening, appointmentOpening } from '../../drops/appointment-rules.ts';
import type { Appointed, AppointmentService } from '../../drops/appointments.ts';
import type { Catalog } from '../../inventory/catalog.ts';
import type { Guards } from '../auth/guards.ts';
import { Problem } from '../problems/problems.ts';
import { appointmentBody } from '../schemas/appointments.ts';
import { contract } from '../schemas/contract.ts';
import { iso, nothing } from '../schemas/fields.ts';
import { addRoute } from '../server/add-route.ts';
import { publishedDrop } from './lookups.ts';

export type AppointmentRouteOptions = {
  requireBuyer: Guards['requireBuyer'];
  catalog: Catalog;
  appointments: Pick<AppointmentService, 'make' | 'find'>;
  /** Counts appointments by how they came about. */
  counts: { add(how: 'made' | 'already'): void };
};

/** A buyer's own appointment. */
export function appointmentRoutes(app: FastifyInstance, options: AppointmentRouteOptions): void {
  const { catalog, appointments, counts, requireBuyer: onRequest } = options;

  addRoute(
    app,
    'POST /v1/drops/:drop/appointment',
    { contract: contracts.make, onRequest },
    async ({ buyer, params }, reply) => {
      const { drop, opening } = await find(params);
      // An appointment that was made before is shown whether the window is open or not.
      const isOpen = opening.kind === 'open';
      const found = await (isOpen
        ? appointments.make(drop, buyer)
        : appointments.find(drop, buyer));
      if (!found) throw refusalOf(opening);
      const { made, madeAt } = appointmentOf(found);
      counts.add(made ? 'made' : 'already');
      reply.code(made ? 201 : 200).header('location', `/v1/drops/${drop.id}/appointment`);
      return { drop: drop.id, buyer, madeAt: iso(madeAt) };
    },
  );

  addRoute(
    app,
    'GET /v1/drops/:drop/appointment',
    { contract: contracts.read, onRequest },
    async ({ buyer, params }, reply) => {
      const { drop } = await find(params);
      const found = await appointments.find(drop, buyer);
      if (!found) throw new Problem('unknown_appointment');
      reply.header('cache-control', 'no-store');
      return { drop: drop.id, buyer, madeAt: iso(appointmentOf(found).madeAt) };
    },
  );

  /** The drop of a path, and whether its appointments are open by Redis' clock. */
  async function find(params: { drop: string }) {
    const view = await publishedDrop(catalog, params);
    const opening = appointmentOpening(view.drop, {
      now: catalog.redisNow(),
      state: view.state(),
    });
    if (opening.kind === 'not_offered') throw new Problem('appointments_not_offered');
    return { drop: view.drop, opening };
  }
}

function refusalOf(opening: AppointmentOpening): Problem {
  switch (opening.kind) {
    case 'closed':
      return new Problem('appointments_closed', shown(opening.window));
    case 'not_open': {
      const retryAfterMs = opening.opensInMs;
      return new Problem('appointments_not_open', { ...shown(opening.window), retryAfterMs });
    }
    default:
      throw new Error(`bug: no refusal when appointments are ${opening.kind}`);
  }
}

function shown({ from, until }: AppointmentWindow): { from: string; until: string } {
  return { from: iso(from), until: iso(until) };
}

function appointmentOf(result: Appointed): Extract<Appointed, { kind: 'appointed' }> {
  if (result.kind === 'frozen') throw new Problem('drop_frozen');
  if (result.kind === 'overloaded') throw new Problem('overloaded');
  return result;
}

const contracts = {
  make: contract({
    tag: 'Buyers',
    who: 'buyer',
    summary: 'Make an appointment',
    description:
      'Registers you for a drop that sells only to buyers with an appointment. You can repeat the request: there is one appointment for each buyer.',
    body: nothing,
    answers: {
      201: {
        description: 'The appointment was made now',
        schema: appointmentBody,
        headers: { Location: 'The appointment' },
      },
      200: { description: 'The appointment had been made before', schema: appointmentBody },
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
  read: contract({
    tag: 'Buyers',
    who: 'buyer',
    summary: 'Get your appointment',
    answers: { 200: { description: 'The appointment', schema: appointmentBody } },
    problems: ['unknown_drop', 'unknown_appointment', 'appointments_not_offered', 'drop_frozen'],
  }),
};
