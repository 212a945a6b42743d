import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { Audit } from '../../audit/audit.ts';
import type { Clock } from '../../domain/clock.ts';
import { type DropAction, dropState } from '../../domain/drop.ts';
import type { DropId } from '../../domain/ids.ts';
import type { CreateDraft } from '../../drops/drafts.ts';
import type { Publishing } from '../../drops/publishing.ts';
import type { Report } from '../../drops/report.ts';
import type { Drops } from '../../ledger/drops.ts';
import type { Guards } from '../auth/guards.ts';
import { beginAlone, type Exclusive } from '../limits/exclusive.ts';
import { Problem } from '../problems/problems.ts';
import { contract } from '../schemas/contract.ts';
import {
  type DefinitionRules,
  definitionBytesMax,
  draftOf,
  newDropBody,
} from '../schemas/drop-definition.ts';
import { dropBody, dropsBody } from '../schemas/drops.ts';
import { cursor, limit, nothing } from '../schemas/fields.ts';
import { auditBody, reportBody } from '../schemas/reports.ts';
import { addRoute } from '../server/add-route.ts';
import { allowSilence, comparingMsMax } from '../server/long-answer.ts';
import { auditJson, dropJson, reportJson, revisionTag } from '../views/views.ts';
import { dropOf, ownDrop } from './lookups.ts';

const limitDefault = 50;
const actions: DropAction[] = ['publish', 'pause', 'resume', 'end', 'cancel'];
const listQuery = z.strictObject({ limit, cursor });

export type DropRouteOptions = {
  requireMerchant: Guards['requireMerchant'];
  drops: Pick<Drops, 'getOwned' | 'listOwned'>;
  createDraft: CreateDraft;
  publishing: Pick<Publishing, 'act'>;
  report(drop: DropId): Promise<Report | undefined>;
  audit: Audit;
  exclusive: Exclusive;
  takes: DefinitionRules['takes'];
  clock: Clock;
};

/** A merchant's own drops: create, list, change state, report and audit. */
export function dropRoutes(app: FastifyInstance, options: DropRouteOptions): void {
  const { drops, createDraft, publishing, clock, requireMerchant: onRequest } = options;
  const rules = { now: clock.now, takes: options.takes };

  addRoute(
    app,
    'POST /v1/drops',
    { contract: createContract(rules), bodyLimit: definitionBytesMax, onRequest },
    async ({ body, merchantId }, reply) => {
      const drop = await createDraft({ ...draftOf(body), merchantId });
      reply.code(201).header('location', `/v1/drops/${drop.id}/report`);
      reply.header('etag', revisionTag(drop));
      return dropJson(drop, clock.now());
    },
  );

  addRoute(
    app,
    'GET /v1/drops',
    { contract: contracts.list, onRequest },
    async ({ query, merchantId }) => {
      const page = await drops.listOwned(merchantId, {
        cursor: query.cursor,
        limit: query.limit ?? limitDefault,
      });
      return { drops: page.rows.map((drop) => dropJson(drop, clock.now())), next: page.next };
    },
  );

  for (const action of actions) {
    addRoute(
      app,
      `POST /v1/drops/:drop/${action}`,
      { contract: actionContract(action), onRequest },
      async ({ merchantId, params }, reply) => {
        const result = await publishing.act({ merchantId, drop: dropOf(params), action });
        if (result.kind === 'unknown') throw new Problem('unknown_drop');
        if (result.kind === 'frozen') throw new Problem('drop_frozen');
        const now = clock.now();
        if (result.kind === 'refused') {
          throw new Problem('drop_action_refused', { state: dropState(result.drop, now) });
        }
        reply.header('etag', revisionTag(result.drop));
        return dropJson(result.drop, now);
      },
    );
  }

  addRoute(
    app,
    'GET /v1/drops/:drop/report',
    { contract: contracts.report, onRequest },
    async (request, reply) => {
      const drop = await ownDrop(drops, request);
      const report = await options.report(drop.id);
      if (!report) throw new Problem('unknown_drop');
      reply.header('cache-control', 'no-store');
      return reportJson(report);
    },
  );

  addRoute(
    app,
    'GET /v1/drops/:drop/audit',
    { contract: contracts.audit, onRequest },
    async (request, reply) => {
      const drop = await ownDrop(drops, request);
      const end = await beginAlone(options.exclusive, request.merchantId);
      allowSilence(reply, comparingMsMax);
      const report = await options.audit(drop.id).finally(end);
      if (!report) throw new Problem('unknown_drop');
      reply.header('cache-control', 'no-store');
      return auditJson(report);
    },
  );
}

function createContract(rules: DefinitionRules) {
  return contract({
    tag: 'Merchants',
    who: 'merchant',
    summary: 'Create a drop',
    description: 'The drop is a draft that only you can see until it is published.',
    body: newDropBody(rules),
    answers: { 201: { description: 'The draft', schema: dropBody } },
  });
}

const actionSummaries: Record<DropAction, string> = {
  publish: 'Publish a draft: it goes on sale for its window',
  pause: 'Pause the drop: no orders are accepted',
  resume: 'Resume a paused drop',
  end: 'End the drop before its window does',
  cancel: 'Cancel the drop: open orders are released and paid ones refunded',
};

function actionContract(action: DropAction) {
  return contract({
    tag: 'Merchants',
    who: 'merchant',
    summary: actionSummaries[action],
    description: 'You can repeat the request.',
    body: nothing,
    answers: { 200: { description: 'The drop', schema: dropBody } },
    problems: ['unknown_drop', 'drop_action_refused', 'drop_frozen'],
  });
}

const contracts = {
  list: contract({
    tag: 'Merchants',
    who: 'merchant',
    summary: 'List your drops, newest first',
    querystring: listQuery,
    answers: { 200: { description: 'A page of drops', schema: dropsBody } },
  }),
  report: contract({
    tag: 'Merchants',
    who: 'merchant',
    summary: 'Get the figures of a drop',
    answers: {
      200: {
        description: 'Units by item and lane, orders by state, and rates',
        schema: reportBody,
      },
    },
    cost: 5,
    problems: ['unknown_drop'],
  }),
  audit: contract({
    tag: 'Merchants',
    who: 'merchant',
    summary: 'Check the promises of a drop now',
    answers: { 200: { description: 'Each promise with its figures', schema: auditBody } },
    cost: 50,
    problems: ['unknown_drop', 'already_running'],
  }),
};
