import type { Readable } from 'node:stream';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { dropState } from '../../domain/drop.ts';
import type { Guards } from '../auth/guards.ts';
import type { AppDeps } from '../deps.ts';
import { type LineReader, readCsv, readNdjson } from '../import/buyers.ts';
import { whileImporting } from '../import/importing.ts';
import { openList } from '../import/list.ts';
import { isOutage } from '../problems/outage.ts';
import { Problem } from '../problems/problems.ts';
import { importedBody } from '../schemas/appointments.ts';
import { schemaOf } from '../schemas/contract.ts';
import { ownDrop } from './drops.ts';

type DropPath = { Params: { drop: string } };

const readers: Record<string, LineReader> = {
  'application/x-ndjson': readNdjson,
  'text/csv': readCsv,
};

/** A merchant's list of buyers, who all get an appointment: of any length, read as it arrives. */
export async function importRoute(
  app: FastifyInstance,
  deps: AppDeps,
  guards: Guards,
  counted: { add(how: string, by: number): void },
): Promise<void> {
  const { log, clock } = deps;

  // A scope of its own, so that no other route takes these types.
  await app.register(async (scope) => {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser(Object.keys(readers), (_request, payload, done) => {
      done(null, payload);
    });

    scope.post<DropPath>(
      '/v1/drops/:drop/appointments/import',
      { schema, onRequest: guards.requireMerchant },
      async (request) => {
        const drop = await ownDrop(deps, request);
        const reader = readerOf(request);
        const state = dropState(drop, clock.now());
        if (!drop.appointment) throw new Problem('appointments_not_offered');
        // A draft has no lanes yet; what is over needs no appointments.
        if (['draft', 'ended', 'cancelled'].includes(state)) {
          throw new Problem('drop_action_refused', { state });
        }
        const list = openList(chunksOf(request), reader);
        const { figures, failure } = await whileImporting(request.raw.socket, () =>
          deps.services.appointments.takeList(drop, list.parts()),
        );
        counted.add('imported', figures.imported);
        const told = { ...figures, badLines: list.badLines };
        if (failure === undefined) return told;
        const facts = { drop: drop.id, ...figures, err: failure };
        if (request.raw.destroyed || isOutage(failure)) {
          log.warn(facts, 'an import broke off');
        } else {
          log.error(facts, 'an import broke off');
        }
        // Whoever is still sending reads no answer before the end.
        request.raw.resume();
        const badLines = told.badLines.filter(({ line }) => line <= figures.lines);
        throw new Problem('import_broken_off', { ...figures, badLines });
      },
    );
  });
}

/** The body as it arrives. Reading may stop early: the connection lives on for the answer. */
function chunksOf(request: FastifyRequest): AsyncIterable<Buffer> {
  return (request.body as Readable).iterator({ destroyOnReturn: false });
}

function readerOf(request: FastifyRequest): LineReader {
  const type = request.headers['content-type']?.split(';', 1)[0]?.trim().toLowerCase() ?? '';
  const reader = readers[type];
  if (!reader) throw new Problem('unsupported_media_type');
  return reader;
}

const schema = schemaOf({
  tag: 'Merchants',
  summary: 'Give appointments to the buyers of a list',
  description:
    'One buyer a line, whether the window is open or not: NDJSON (`"ann"` or `{"buyer":"ann"}`) or CSV with the one column `buyer`, its header optional. The list may be of any length and is taken while it arrives. Bad lines are told by number and keep no other line out; sending a list again is harmless.',
  who: 'merchant',
  bodyTypes: Object.keys(readers),
  answers: { 200: { description: 'What became of the lines', schema: importedBody } },
  problems: [
    'unknown_drop',
    'appointments_not_offered',
    'drop_action_refused',
    'import_broken_off',
  ],
});
