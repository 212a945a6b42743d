import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { z } from 'zod';
import type { Order } from '../../domain/order.ts';
import type { Bought } from '../../inventory/intake.ts';
import { type Guards, requireKey } from '../auth/guards.ts';
import type { AppDeps } from '../deps.ts';
import { problems, problemText, problemType, sendProblem } from '../problems/problems.ts';
import { openKnownBodies } from '../request/body-cache.ts';
import { readIdempotencyKey } from '../request/idempotency.ts';
import { openLimiter } from '../request/rate-limiter.ts';
import { schemaOf } from '../schemas/contract.ts';
import { iso } from '../schemas/fields.ts';
import { boughtBody, buyBody } from '../schemas/orders.ts';
import { sendText } from '../server/send-raw.ts';

const limitWindowMs = 10_000;
const limitNamesMax = 200_000;
const buysPerBuyerMax = 300;

type BuyRequest = { Params: { drop: string }; Body: z.infer<typeof buyBody> };

/** The Buy button: the one hot route, kept free of anything that a request does not need. */
export function buyRoute(
  app: FastifyInstance,
  deps: AppDeps,
  guards: Guards,
  outcomes: { add(outcome: string): void },
): void {
  const { intake, metrics } = deps;
  const requestsMax = deps.settings.buysPerBuyerMax ?? buysPerBuyerMax;
  const limiter = openLimiter({
    requestsMax,
    sharedMax: Math.floor(requestsMax / 2),
    windowMs: limitWindowMs,
    namesMax: limitNamesMax,
  });
  const durations = metrics.durations({
    name: 'buy_seconds',
    help: 'From a Buy read whole to its answer',
    bounds: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
  });

  /** Most of a crowd comes too late: it is told before its body is read. */
  function refuseSoldOut(
    request: FastifyRequest<BuyRequest>,
    reply: FastifyReply,
    done: (error?: Error) => void,
  ): void {
    const startedAt = performance.now();
    const reading = readIdempotencyKey(request.headers['idempotency-key']);
    const { drop } = request.params;
    const asked =
      'key' in reading
        ? intake.refuseSoldOut({ drop, buyer: request.buyer, key: reading.key })
        : undefined;
    if (!asked) {
      done();
      return;
    }
    asked.then((refused) => {
      if (!refused) return done();
      answer(reply, refused);
      outcomes.add(refused.status);
      durations.observe((performance.now() - startedAt) / 1_000);
    }, done);
  }

  const bodies = openKnownBodies(buyBody);
  app.removeContentTypeParser('application/json');
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, text, done) => {
    try {
      done(null, bodies.read(text as string));
    } catch (problem) {
      done(problem as Error);
    }
  });

  app.post<BuyRequest>(
    '/v1/drops/:drop/orders',
    {
      schema,
      validatorCompiler: bodies.validatorCompiler,
      onRequest: [guards.requireBuyer, refuseSoldOut],
    },
    // Not async: the answer is sent from here, and what the framework makes of a promise costs more.
    (request, reply) => {
      const startedAt = performance.now();
      const key = requireKey(request);
      const retryAfterMs = limiter.take(request.buyer);
      if (retryAfterMs > 0) {
        outcomes.add('rate_limited');
        sendProblem(reply, 'rate_limited', { retryAfterMs });
        return;
      }
      const { sku, quantity, payment } = request.body;
      intake
        .buy({
          drop: request.params.drop,
          buyer: request.buyer,
          key,
          sku,
          quantity,
          method: payment.method,
        })
        .then((bought) => {
          answer(reply, bought);
          outcomes.add(bought.status);
          durations.observe((performance.now() - startedAt) / 1_000);
        })
        .catch((error: Error) => reply.send(error));
    },
  );
}

function answer(reply: FastifyReply, bought: Bought): void {
  switch (bought.status) {
    case 'replayed':
    case 'reserved':
      sendOrder(reply, bought);
      return;
    case 'sold_out':
      sendSoldOut(reply, bought.available);
      return;
    case 'all_held': {
      const { available, retryAfterMs } = bought;
      sendProblem(reply, 'all_held', { available, retryAfterMs });
      return;
    }
    case 'buyer_limit':
      sendProblem(reply, 'buyer_limit', bought.holder ? { order: bought.holder } : {});
      return;
    case 'not_open': {
      const { startsAt, retryAfterMs } = bought;
      sendProblem(reply, 'drop_not_open', { startsAt: iso(startsAt), retryAfterMs });
      return;
    }
    case 'no_appointment':
      sendProblem(reply, 'no_appointment', { until: iso(bought.until) });
      return;
    case 'frozen':
      sendProblem(reply, 'drop_frozen', { retryAfterMs: bought.retryAfterMs });
      return;
    case 'overloaded':
      sendProblem(reply, 'overloaded', { retryAfterMs: bought.retryAfterMs });
      return;
    case 'outcome_unknown': {
      const { order, retryAfterMs } = bought;
      sendProblem(reply, 'outcome_unknown', { order, retryAfterMs });
      return;
    }
    default:
      sendProblem(reply, refusals[bought.status]);
  }
}

const refusals = {
  paused: 'drop_paused',
  ended: 'drop_ended',
  cancelled: 'drop_ended',
  unknown_drop: 'unknown_drop',
  unknown_item: 'unknown_item',
  reused: 'idempotency_key_reused',
  not_offered: 'payment_method_not_offered',
} as const;

/**
 * Written by hand from the parts of boughtBody, none of which can hold a quote: a sku, a currency
 * and an id are letters and digits. Only what never changes goes in, so a replay is the same bytes.
 */
function sendOrder(
  reply: FastifyReply,
  { order, drop, status }: Extract<Bought, { order: Order }>,
): void {
  const { id, item, quantity, amount, expiresAt } = order;
  const headers = ['location', `/v1/orders/${id}`, ...jsonHeaders];
  if (status === 'replayed') headers.push('idempotency-replayed', 'true');
  sendText(reply, {
    status: 202,
    headers,
    text: `{"id":"${id}","state":"reserved","sku":"${drop.items[item]?.sku}","quantity":${quantity},"amount":${amount},"currency":"${drop.currency}","expiresAt":"${iso(expiresAt)}"}`,
  });
}

const jsonHeaders = ['content-type', 'application/json; charset=utf-8'];
const problemHeaders = ['content-type', `${problemType}; charset=utf-8`];

/** Most answers of a sale are this one. */
function sendSoldOut(reply: FastifyReply, available: number): void {
  const text = available === 0 ? noneText : problemText('sold_out', { available });
  sendText(reply, { status: problems.sold_out.status, headers: problemHeaders, text });
}

const noneText = problemText('sold_out', { available: 0 });

const schema = schemaOf({
  tag: 'Buyers',
  summary: 'Buy',
  description:
    'Reserves units at once and starts the payment behind the answer. The same Idempotency-Key of the same buyer always stands for the same order.',
  who: 'buyer',
  body: buyBody,
  idempotent: true,
  answers: {
    202: {
      description: 'The units are reserved until `expiresAt`',
      schema: boughtBody,
      headers: {
        Location: 'The order',
        'Idempotency-Replayed': '`true` when the key had already reserved this order',
      },
    },
  },
  problems: [
    'no_appointment',
    'unknown_drop',
    'unknown_item',
    'payment_method_not_offered',
    'sold_out',
    'all_held',
    'buyer_limit',
    'drop_not_open',
    'drop_paused',
    'drop_ended',
    'idempotency_key_reused',
    'rate_limited',
    'drop_frozen',
    'overloaded',
    'outcome_unknown',
  ],
});
