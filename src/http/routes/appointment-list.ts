import { Readable } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import type { AppointmentService, Removed } from '../../drops/appointments.ts';
import type { Appointments } from '../../ledger/appointments.ts';
import type { Drops } from '../../ledger/drops.ts';
import { isBuyerName } from '../auth/claims.ts';
import type { Guards } from '../auth/guards.ts';
import { beginAlone, type Exclusive, endWith } from '../limits/exclusive.ts';
import { Problem } from '../problems/problems.ts';
import { appointmentsBody, appointmentsQuery, removedBody } from '../schemas/appointments.ts';
import { contract } from '../schemas/contract.ts';
import { iso, nothing } from '../schemas/fields.ts';
import { addRoute } from '../server/add-route.ts';
import { allowSilence, exportMsMax } from '../server/long-answer.ts';
import { appointmentsCsv } from '../views/csv.ts';
import { ownDrop } from './lookups.ts';

const limitDefault = 100;

export type AppointmentListOptions = {
  requireMerchant: Guards['requireMerchant'];
  drops: Pick<Drops, 'getOwned'>;
  appointments: Pick<Appointments, 'page' | 'stream'>;
  service: Pick<AppointmentService, 'remove' | 'removeAll'>;
  exclusive: Exclusive;
};

/** The appointments of a merchant's drop: list, export, removal. */
export function appointmentListRoutes(app: FastifyInstance, options: AppointmentListOptions): void {
  const { drops, appointments, service, exclusive, requireMerchant: onRequest } = options;

  addRoute(
    app,
    'GET /v1/drops/:drop/appointments',
    { contract: contracts.list, onRequest, exposeHeadRoute: false },
    async (request, reply) => {
      const { limit = limitDefault, cursor, format } = request.query;
      const drop = await ownDrop(drops, request);
      reply.header('cache-control', 'no-store');
      if (format === 'csv') {
        const end = await beginAlone(exclusive, request.merchantId);
        reply.header('content-type', 'text/csv; charset=utf-8; header=present');
        reply.header('content-disposition', `attachment; filename="${drop.id}-appointments.csv"`);
        allowSilence(reply, exportMsMax);
        return reply.send(
          endWith(Readable.from(appointmentsCsv(appointments.stream(drop.id))), end),
        );
      }
      const rows = await appointments.page({ drop: drop.id, after: cursor, limit: limit + 1 });
      const last = rows.length > limit ? rows[limit - 1] : undefined;
      return {
        appointments: rows.slice(0, limit).map(({ buyer, madeAt }) => {
          return { buyer, madeAt: iso(madeAt) };
        }),
        next: last && Buffer.from(last.buyer).toString('base64url'),
      };
    },
  );

  addRoute(
    app,
    'DELETE /v1/drops/:drop/appointments/:buyer',
    { contract: contracts.remove, onRequest },
    async (request) => {
      const drop = await ownDrop(drops, request);
      const { buyer } = request.params;
      if (!isBuyerName(buyer)) throw new Problem('unknown_appointment');
      const answer = countOf(await service.remove(drop, buyer));
      if (answer.removed === 0) throw new Problem('unknown_appointment');
      return answer;
    },
  );

  addRoute(
    app,
    'DELETE /v1/drops/:drop/appointments',
    { contract: contracts.removeAll, onRequest },
    async (request) => countOf(await service.removeAll(await ownDrop(drops, request))),
  );
}

function countOf(result: Removed): { removed: number } {
  if (result.kind === 'frozen') throw new Problem('drop_frozen');
  return { removed: result.removed };
}

const contracts = {
  list: contract({
    tag: 'Merchants',
    who: 'merchant',
    summary: "List the appointments of a drop by their buyers' names",
    description:
      'With `format=csv`, sends all as one file, which can be imported as it is: the same buyers get appointments.',
    querystring: appointmentsQuery,
    answers: { 200: { description: 'A page of appointments', schema: appointmentsBody } },
    problems: ['unknown_drop', 'already_running'],
  }),
  remove: contract({
    tag: 'Merchants',
    who: 'merchant',
    summary: "Remove a buyer's appointment",
    description:
      'The buyer can buy no more; orders that they have stay. The name stands in the path, percent-encoded. An appointment can be made or imported again.',
    body: nothing,
    answers: { 200: { description: 'It is removed', schema: removedBody } },
    problems: ['unknown_drop', 'unknown_appointment', 'drop_frozen'],
  }),
  removeAll: contract({
    tag: 'Merchants',
    who: 'merchant',
    summary: 'Remove all appointments of a drop',
    description: 'As for one buyer. After a failure, send the request again.',
    body: nothing,
    answers: { 200: { description: 'They are removed', schema: removedBody } },
    problems: ['unknown_drop', 'drop_frozen'],
  }),
};
