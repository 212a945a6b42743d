import { Readable } from 'node:stream';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Clock } from '../../domain/clock.ts';
import { importOpening } from '../../drops/appointment-rules.ts';
import type { AppointmentService } from '../../drops/appointments.ts';
import type { Drops } from '../../ledger/drops.ts';
import type { Log } from '../../log.ts';
import type { Guards } from '../auth/guards.ts';
import { type LineReader, readCsv, readNdjson } from '../import/buyers.ts';
import { exemptFromTimeout } from '../import/importing.ts';
import { openList } from '../import/list.ts';
import { isOutage } from '../problems/outage.ts';
import { Problem } from '../problems/problems.ts';
import { importedBody } from '../schemas/appointments.ts';
import { contract } from '../schemas/contract.ts';
import { addRoute } from '../server/add-route.ts';
import { ownDrop } from './lookups.ts';

const readers = new Map<string, LineReader>([
  ['application/x-ndjson', readNdjson],
  ['text/csv', readCsv],
]);

export type ImportRouteOptions = {
  requireMerchant: Guards['requireMerchant'];
  drops: Pick<Drops, 'getOwned'>;
  appointments: Pick<AppointmentService, 'takeList'>;
  /** Counts appointments by how they came about. */
  counts: { add(how: 'imported', by: number): void };
  clock: Clock;
  log: Log;
};

/** A merchant's list of buyers, who all get an appointment: of any length, read as it arrives. */
export async function importRoute(
  app: FastifyInstance,
  options: ImportRouteOptions,
): Promise<void> {
  const { requireMerchant, drops, appointments, counts, clock, log } = options;

  // A scope of its own, so that no other route accepts these types.
  await app.register(async (scope) => {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser([...readers.keys()], (_request, payload, done) => {
      done(null, payload);
    });

    addRoute(
      scope,
      'POST /v1/drops/:drop/appointments/import',
      { contract: importContract, onRequest: requireMerchant },
      async (request, reply) => {
        exemptFromTimeout(request.raw.socket, reply.raw);
        const drop = await ownDrop(drops, request);
        const reader = readerOf(request);
        const opening = importOpening(drop, clock.now());
        if (opening.kind === 'not_offered') throw new Problem('appointments_not_offered');
        if (opening.kind === 'refused') {
          throw new Problem('drop_action_refused', { state: opening.state });
        }
        const list = openList(chunksOf(request), reader);
        const { progress, failure } = await appointments.takeList(drop, list.parts());
        counts.add('imported', progress.imported);
        if (failure === undefined) return { ...progress, badLines: list.badLines };
        const details = { drop: drop.id, ...progress, err: failure };
        if (request.raw.destroyed || isOutage(failure)) log.warn(details, 'import broke off');
        else log.error(details, 'import broke off');
        // A client that is still sending reads no answer before it has sent all.
        request.raw.resume();
        const badLines = list.badLines.filter(({ line }) => line <= progress.lines);
        throw new Problem('import_broken_off', { ...progress, badLines });
      },
    );
  });
}

/** The body as it arrives. Reading may stop early: the connection stays open for the answer. */
function chunksOf({ body }: { body: unknown }): AsyncIterable<Buffer> {
  if (!(body instanceof Readable)) throw new Error('bug: the body is not a stream');
  return body.iterator({ destroyOnReturn: false });
}

function readerOf(request: Pick<FastifyRequest, 'headers'>): LineReader {
  const type = request.headers['content-type']?.split(';', 1)[0]?.trim().toLowerCase() ?? '';
  const reader = readers.get(type);
  if (!reader) throw new Problem('unsupported_media_type');
  return reader;
}

const importContract = contract({
  tag: 'Merchants',
  who: 'merchant',
  summary: 'Import appointments from a list of buyers',
  description:
    'One buyer on each line, whether or not the window is open: NDJSON (`"ann"` or `{"buyer":"ann"}`) or CSV with the one column `buyer` and an optional header. The list may be of any length and is imported while it arrives. Bad lines are reported by number and do not affect the others. You can send a list again.',
  bodyTypes: [...readers.keys()],
  answers: { 200: { description: 'Counts of lines by outcome', schema: importedBody } },
  problems: [
    'unknown_drop',
    'appointments_not_offered',
    'drop_action_refused',
    'import_broken_off',
  ],
});
