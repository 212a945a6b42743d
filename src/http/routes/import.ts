import { Readable } from 'node:stream';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Clock } from '../../domain/clock.ts';
import { importOpening } from '../../drops/appointment-rules.ts';
import type { AppointmentService, ImportProgress } from '../../drops/appointments.ts';
import type { Drops } from '../../ledger/drops.ts';
import type { Log } from '../../log.ts';
import type { Guards } from '../auth/guards.ts';
import { type LineReader, openCsvReader, openNdjsonReader } from '../import/buyers.ts';
import type { ListOptions } from '../import/columns.ts';
import { exemptFromTimeout } from '../import/importing.ts';
import { openList } from '../import/list.ts';
import { isOutage } from '../problems/outage.ts';
import { Problem } from '../problems/problems.ts';
import { importedBody, importQuery } from '../schemas/appointments.ts';
import { contract } from '../schemas/contract.ts';
import { addRoute } from '../server/add-route.ts';
import { ownDrop } from './lookups.ts';

const readers = new Map<string, (options: ListOptions) => LineReader>([
  ['application/x-ndjson', openNdjsonReader],
  ['text/csv', openCsvReader],
]);

export type ImportRouteOptions = {
  requireMerchant: Guards['requireMerchant'];
  drops: Pick<Drops, 'getOwned'>;
  appointments: Pick<AppointmentService, 'takeList' | 'tryList'>;
  /** Counts appointments by how they came about. */
  counts: { add(how: 'imported', by: number): void };
  clock: Clock;
  log: Log;
};

/** An import that broke off: how far it got, and whether its client is gone. */
type Break = ImportProgress & { drop: string; gone: boolean };

/** A merchant's list of buyers, who all get an appointment: of any length, read as it arrives. */
export async function importRoute(
  app: FastifyInstance,
  options: ImportRouteOptions,
): Promise<void> {
  const { requireMerchant, drops, appointments, counts, clock, log } = options;

  function logBreak(failure: unknown, { gone, ...details }: Break): void {
    const level = gone || isOutage(failure) ? 'warn' : 'error';
    log[level]({ ...details, err: failure }, 'import broke off');
  }

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
        refuseUnlessOpen(drop, clock.now());
        const list = openList(chunksOf(request), reader);
        const isTrial = request.query.dryRun === 'true';
        const taken = isTrial
          ? await appointments.tryList(drop, list.parts())
          : await appointments.takeList(drop, list.parts());
        const { progress, failure } = taken;
        if (!isTrial) counts.add('imported', progress.imported);
        if (failure === undefined) {
          return { dryRun: isTrial || undefined, ...progress, badLines: list.badLines };
        }
        // A client that is still sending reads no answer before it has sent all.
        request.raw.resume();
        // Of the first line, before anything was imported.
        if (failure instanceof Problem) throw failure;
        logBreak(failure, { drop: drop.id, ...progress, gone: request.raw.destroyed });
        const badLines = list.badLines.filter(({ line }) => line <= progress.lines);
        throw new Problem('import_broken_off', { ...progress, badLines });
      },
    );
  });
}

/** @throws Problem when the drop takes no appointments now */
function refuseUnlessOpen(drop: Parameters<typeof importOpening>[0], now: number): void {
  const opening = importOpening(drop, now);
  if (opening.kind === 'not_offered') throw new Problem('appointments_not_offered');
  if (opening.kind === 'refused') {
    throw new Problem('drop_action_refused', { state: opening.state });
  }
}

/** The body as it arrives. Reading may stop early: the connection stays open for the answer. */
function chunksOf({ body }: { body: unknown }): AsyncIterable<Buffer> {
  if (!(body instanceof Readable)) throw new Error('bug: the body is not a stream');
  return body.iterator({ destroyOnReturn: false });
}

function readerOf(request: Pick<FastifyRequest, 'headers'> & { query: ListOptions }): LineReader {
  const type = request.headers['content-type']?.split(';', 1)[0]?.trim().toLowerCase() ?? '';
  const open = readers.get(type);
  if (!open) throw new Problem('unsupported_media_type');
  return open(request.query);
}

const importContract = contract({
  tag: 'Merchants',
  who: 'merchant',
  summary: 'Import appointments from a list of buyers',
  description:
    'One buyer on each line, whether or not the window is open: NDJSON (`"ann"` or `{"buyer":"ann"}`) or CSV with the one column `buyer` and an optional header, separated by commas, semicolons or tabs. A list with other columns, or with a first line that reads like another header or is unlike the lines below it, is refused whole; `column` names the one with the buyers, and `header` says whether the first line is a header or a buyer. An export of this route is taken as it is. The list may be of any length and is imported while it arrives. Bad lines are reported by number and do not affect the others. You can send a list again.',
  querystring: importQuery,
  bodyTypes: [...readers.keys()],
  answers: { 200: { description: 'Counts of lines by outcome', schema: importedBody } },
  problems: [
    'unknown_drop',
    'import_columns',
    'appointments_not_offered',
    'drop_action_refused',
    'import_broken_off',
  ],
});
