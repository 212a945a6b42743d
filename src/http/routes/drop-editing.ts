import type { FastifyInstance, FastifyReply } from 'fastify';
import type { Clock } from '../../domain/clock.ts';
import { dropState } from '../../domain/drop.ts';
import { type CreateDraft, movedToFuture } from '../../drops/drafts.ts';
import type { EditDrop, EditRefusal } from '../../drops/edits.ts';
import { definitionOf } from '../../ledger/drop-edits.ts';
import type { Drops, StoredDrop } from '../../ledger/drops.ts';
import type { Guards } from '../auth/guards.ts';
import { invalid, Problem } from '../problems/problems.ts';
import { readIfMatch } from '../request/if-match.ts';
import { contract } from '../schemas/contract.ts';
import {
  type DefinitionRules,
  definitionBytesMax,
  dropPatchBody,
  openDefinitionEdits,
} from '../schemas/drop-definition.ts';
import { dropBody } from '../schemas/drops.ts';
import { nothing } from '../schemas/fields.ts';
import { addRoute } from '../server/add-route.ts';
import { dropJson, revisionTag } from '../views/views.ts';
import { dropOf, ownDrop } from './lookups.ts';

export type DropEditingOptions = {
  requireMerchant: Guards['requireMerchant'];
  drops: Pick<Drops, 'getOwned' | 'deleteDraft'>;
  createDraft: CreateDraft;
  editDrop: EditDrop;
  takes: DefinitionRules['takes'];
  clock: Clock;
};

/** Changes of a drop before it opens: edit, delete, duplicate. */
export function dropEditingRoutes(app: FastifyInstance, options: DropEditingOptions): void {
  const { drops, createDraft, editDrop, clock, requireMerchant: onRequest } = options;
  const { patched } = openDefinitionEdits({ now: clock.now, takes: options.takes });
  const bodyLimit = definitionBytesMax;

  function send(reply: FastifyReply, drop: StoredDrop) {
    reply.header('etag', revisionTag(drop));
    return dropJson(drop, clock.now());
  }

  addRoute(
    app,
    'PATCH /v1/drops/:drop',
    { contract: contracts.edit, bodyLimit, onRequest },
    async ({ merchantId, params, headers, body }, reply) => {
      const condition = readIfMatch(headers['if-match']);
      if ('reason' in condition) throw invalid('If-Match', condition.reason);
      const result = await editDrop({
        merchantId,
        drop: dropOf(params),
        revisions: condition.revisions,
        define: (drop) => patched(drop, body),
      });
      if (result.kind === 'done') return send(reply, result.drop);
      throw refusalOf(result);
    },
  );

  addRoute(
    app,
    'DELETE /v1/drops/:drop',
    { contract: contracts.delete, onRequest },
    async ({ merchantId, params }, reply) => {
      const result = await drops.deleteDraft(merchantId, dropOf(params));
      if (result === 'unknown') throw new Problem('unknown_drop');
      if (result === 'deleted') return reply.code(204).send();
      throw new Problem('drop_action_refused', { state: dropState(result, clock.now()) });
    },
  );

  addRoute(
    app,
    'POST /v1/drops/:drop/duplicate',
    { contract: contracts.duplicate, bodyLimit, onRequest },
    async (request, reply) => {
      const { merchantId, body = {} } = request;
      const drop = await ownDrop(drops, request);
      const moved = movedToFuture(definitionOf(drop), clock.now());
      const copy = { ...moved, decision: 'draft' as const };
      const draft = await createDraft({ ...patched(copy, body), merchantId });
      reply.code(201).header('location', `/v1/drops/${draft.id}/report`);
      return send(reply, draft);
    },
  );
}

function refusalOf(result: EditRefusal): Problem {
  switch (result.kind) {
    case 'unknown':
      return new Problem('unknown_drop');
    case 'refused':
      return new Problem('drop_not_editable', { state: result.state });
    case 'changed':
      return new Problem('drop_changed', { revision: result.revision });
    case 'item_moved':
      return invalid(
        `items[${result.index}].sku`,
        `must stay ${result.sku}: items of a published drop can be changed and added, not moved or removed`,
      );
    case 'adjusted':
      return new Problem('stock_adjusted');
    case 'frozen':
      return new Problem('drop_frozen');
  }
}

const contracts = {
  edit: contract({
    tag: 'Merchants',
    who: 'merchant',
    summary: 'Edit a drop until it opens',
    description:
      'A field that is given replaces what was, `null` clears an optional one, and a field that is not given stays. `items` and `metadata` are replaced whole; items of a published drop can be changed and added, not moved or removed. A published drop takes the edit whole or not at all, and only before `startsAt` on the clock of its stock. With `If-Match` the edit is refused when someone else changed the drop meanwhile.',
    body: dropPatchBody,
    conditional: true,
    answers: {
      200: {
        description: 'The drop as edited',
        schema: dropBody,
        headers: { ETag: 'The revision, for If-Match' },
      },
    },
    problems: [
      'unknown_drop',
      'drop_not_editable',
      'stock_adjusted',
      'drop_changed',
      'drop_frozen',
    ],
  }),
  delete: contract({
    tag: 'Merchants',
    who: 'merchant',
    summary: 'Delete a draft',
    description: 'You can repeat the request. A drop that was published can be cancelled instead.',
    body: nothing,
    answers: { 204: { description: 'The draft is deleted' } },
    problems: ['unknown_drop', 'drop_action_refused'],
  }),
  duplicate: contract({
    tag: 'Merchants',
    who: 'merchant',
    summary: 'Duplicate a drop as a new draft',
    description:
      'Copies the definition, not orders, appointments or adjustments. A window that has begun is moved by whole days into the future. The body changes the copy, as PATCH would.',
    body: dropPatchBody.optional(),
    answers: {
      201: {
        description: 'The draft',
        schema: dropBody,
        headers: { ETag: 'The revision, for If-Match' },
      },
    },
    problems: ['unknown_drop'],
  }),
};
