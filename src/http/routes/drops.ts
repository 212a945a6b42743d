import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { DropAction } from '../../domain/drop.ts';
import type { StoredDrop } from '../../ledger/drops.ts';
import type { Guards } from '../auth/guards.ts';
import type { AppDeps } from '../deps.ts';
import { Problem } from '../problems/problems.ts';
import { type Contract, schemaOf } from '../schemas/contract.ts';
import { draftOf, dropBody, dropsBody, type NewDrop, newDropBody } from '../schemas/drops.ts';
import { cursor, limit, nothing } from '../schemas/fields.ts';
import { auditBody, reportBody } from '../schemas/reports.ts';
import { auditJson, dropJson, reportJson } from '../views/views.ts';

const limitDefault = 50;
const actions: DropAction[] = ['publish', 'pause', 'resume', 'end', 'cancel'];
const listQuery = z.strictObject({ limit, cursor });

type DropPath = { Params: { drop: string } };

/** A merchant's own drops: made, listed, moved through their life, reported and audited. */
export function dropRoutes(app: FastifyInstance, deps: AppDeps, guards: Guards): void {
  const { ledger, services, clock } = deps;
  const onRequest = guards.requireMerchant;

  app.post<{ Body: NewDrop }>(
    '/v1/drops',
    { schema: createSchema(clock.now), onRequest },
    async (request, reply) => {
      const { body, merchantId } = request;
      const drop = await services.createDraft({ ...draftOf(body), merchantId });
      reply.code(201).header('location', `/v1/drops/${drop.id}/report`);
      return dropJson(drop, clock.now());
    },
  );

  app.get<{ Querystring: z.output<typeof listQuery> }>(
    '/v1/drops',
    { schema: schemas.list, onRequest },
    async (request) => {
      const { query, merchantId } = request;
      const page = await ledger.drops.listOwned(merchantId, {
        cursor: query.cursor,
        limit: query.limit ?? limitDefault,
      });
      return {
        drops: page.rows.map((drop) => dropJson(drop, clock.now())),
        ...(page.next === undefined ? {} : { next: page.next }),
      };
    },
  );

  for (const action of actions) {
    app.post<DropPath>(
      `/v1/drops/:drop/${action}`,
      { schema: actionSchema(action), onRequest },
      async (request) => {
        const { merchantId, params } = request;
        const result = await services.publishing.act({ merchantId, drop: params.drop, action });
        if (result.kind === 'unknown') throw new Problem('unknown_drop');
        if (result.kind === 'frozen') throw new Problem('drop_frozen');
        const now = clock.now();
        if (result.kind === 'refused') {
          throw new Problem('drop_action_refused', { state: dropJson(result.drop, now).state });
        }
        return dropJson(result.drop, now);
      },
    );
  }

  app.get<DropPath>(
    '/v1/drops/:drop/report',
    { schema: schemas.report, onRequest },
    async (request, reply) => {
      const drop = await ownDrop(deps, request);
      const report = await services.report(drop.id);
      if (!report) throw new Problem('unknown_drop');
      reply.header('cache-control', 'no-store');
      return reportJson(report);
    },
  );

  app.get<DropPath>(
    '/v1/drops/:drop/audit',
    { schema: schemas.audit, onRequest },
    async (request, reply) => {
      const drop = await ownDrop(deps, request);
      const report = await services.audit(drop.id);
      if (!report) throw new Problem('unknown_drop');
      reply.header('cache-control', 'no-store');
      return auditJson(report);
    },
  );
}

/**
 * The drop that a path names, if it is the merchant's.
 * @throws Problem unknown_drop, also for another's: nobody learns what exists elsewhere
 */
export async function ownDrop(
  deps: Pick<AppDeps, 'ledger'>,
  request: { merchantId: string; params: { drop: string } },
): Promise<StoredDrop> {
  const drop = await deps.ledger.drops.getOwned(request.merchantId, request.params.drop);
  if (!drop) throw new Problem('unknown_drop');
  return drop;
}

const merchant: Pick<Contract, 'tag' | 'who'> = { tag: 'Merchants', who: 'merchant' };

function createSchema(now: () => number) {
  return schemaOf({
    ...merchant,
    summary: 'Create a drop',
    description: 'It is a draft that nobody else sees until it is published.',
    body: newDropBody(now),
    answers: { 201: { description: 'The draft', schema: dropBody } },
  });
}

const actionTexts: Record<DropAction, string> = {
  publish: 'Put a draft on sale for its window',
  pause: 'Take no orders for now',
  resume: 'Take orders again',
  end: 'End the drop before its window does',
  cancel: 'Cancel the drop: open orders are released and paid ones refunded',
};

function actionSchema(action: DropAction) {
  return schemaOf({
    ...merchant,
    summary: actionTexts[action],
    description: 'Repeating it is harmless.',
    body: nothing,
    answers: { 200: { description: 'The drop', schema: dropBody } },
    problems: ['unknown_drop', 'drop_action_refused', 'drop_frozen'],
  });
}

const schemas = {
  list: schemaOf({
    ...merchant,
    summary: 'Your drops, newest first',
    querystring: listQuery,
    answers: { 200: { description: 'A page of drops', schema: dropsBody } },
  }),
  report: schemaOf({
    ...merchant,
    summary: 'Figures of a drop',
    answers: {
      200: { description: 'Figures per item and lane, and the funnel', schema: reportBody },
    },
    problems: ['unknown_drop'],
  }),
  audit: schemaOf({
    ...merchant,
    summary: 'The promises, checked now',
    answers: { 200: { description: 'Each promise with its figures', schema: auditBody } },
    problems: ['unknown_drop'],
  }),
};
