import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { z } from 'zod';
import { isDropId } from '../../domain/ids.ts';
import { firstExpiresAt, type Order } from '../../domain/order.ts';
import type { Bought } from '../../inventory/buy.ts';
import type { Intake } from '../../inventory/intake.ts';
import type { Metrics } from '../../metrics.ts';
import { type Guards, requireKey } from '../auth/guards.ts';
import {
  type ProblemCode,
  problems,
  problemText,
  problemType,
  sendProblem,
} from '../problems/problems.ts';
import { openBodyCache } from '../request/body-cache.ts';
import { readIdempotencyKey } from '../request/idempotency.ts';
import { textParser } from '../request/text-parser.ts';
import { contract, schemaOf } from '../schemas/contract.ts';
import { iso } from '../schemas/fields.ts';
import { boughtBody, buyBody } from '../schemas/orders.ts';
import { sendText } from '../server/send-raw.ts';

/** For the metadata of an order at its bounds, and its fields. */
const buyBytesMax = 65_536;

type BuyRequest = { Params: { drop: string }; Body: z.infer<typeof buyBody> };

export type BuyRouteOptions = {
  requireBuyer: Guards['requireBuyer'];
  intake: Pick<Intake, 'buy' | 'refuseSoldOut'>;
  metrics: Pick<Metrics, 'durations'>;
  /** Counts Buys by outcome. */
  outcomes: { add(outcome: BuyOutcome): void };
  /** 0 when the buyer may send one more, whatever its answer, else the milliseconds until then. */
  budget(buyer: string): number;
};

/** The Buy button: the hot route, without anything that a request does not need. */
export function buyRoute(app: FastifyInstance, options: BuyRouteOptions): void {
  const { requireBuyer, intake, metrics, outcomes, budget } = options;
  const durations = metrics.durations({
    name: 'buy_seconds',
    help: 'From a Buy read whole to its answer',
    bounds: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
  });

  function finish(reply: FastifyReply, bought: Bought, startedAt: number): void {
    answer(reply, bought);
    outcomes.add(outcomeOf(bought.status));
    durations.observe((performance.now() - startedAt) / 1_000);
  }

  /** Before anything else that a Buy costs: a flood of one buyer must not be free once all is sold. */
  function takeBudget({ buyer }: FastifyRequest, reply: FastifyReply, done: () => void): void {
    const retryAfterMs = budget(buyer);
    if (retryAfterMs > 0) {
      outcomes.add('rate_limited');
      sendProblem(reply, 'rate_limited', { retryAfterMs });
    } else done();
  }

  /** Most Buys come when the drop is sold out: they are refused before their body is read. */
  function refuseSoldOut(
    request: FastifyRequest<BuyRequest>,
    reply: FastifyReply,
    done: (error?: Error) => void,
  ): void {
    const startedAt = performance.now();
    const reading = readIdempotencyKey(request.headers['idempotency-key']);
    const { drop } = request.params;
    const refusal =
      'key' in reading && isDropId(drop)
        ? intake.refuseSoldOut({ drop, buyer: request.buyer, key: reading.key })
        : undefined;
    if (!refusal) {
      done();
      return;
    }
    refusal.then((refused) => {
      if (refused) finish(reply, refused, startedAt);
      else done();
    }, done);
  }

  const bodies = openBodyCache(buyBody, { keeps: isAnonymous });
  app.removeContentTypeParser('application/json');
  app.addContentTypeParser<string>(
    'application/json',
    { parseAs: 'string' },
    textParser(bodies.read),
  );

  app.post<BuyRequest>(
    '/v1/drops/:drop/orders',
    {
      bodyLimit: buyBytesMax,
      schema: schemaOf(buyContract),
      config: { isShed: true },
      validatorCompiler: bodies.validatorCompiler,
      onRequest: [requireBuyer, takeBudget, refuseSoldOut],
    },
    // Not async: the answer is sent from here, and Fastify's handling of a promise costs more.
    (request, reply) => {
      const startedAt = performance.now();
      const key = requireKey(request);
      const { drop } = request.params;
      if (!isDropId(drop)) {
        outcomes.add('unknown_drop');
        sendProblem(reply, 'unknown_drop');
        return;
      }
      const { sku, quantity, payment, fields, metadata } = request.body;
      intake
        .buy({
          drop,
          buyer: request.buyer,
          key,
          sku,
          quantity,
          method: payment.method,
          details: fields || metadata ? { fields, metadata } : undefined,
        })
        .then((bought) => finish(reply, bought, startedAt))
        .catch((error: Error) => reply.send(error));
    },
  );
}

/** Whether others send the same body: details are one buyer's own, and not kept in memory. */
function isAnonymous({ fields, metadata }: z.infer<typeof buyBody>): boolean {
  return fields === undefined && metadata === undefined;
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
    default:
      sendRefusal(reply, bought);
  }
}

type Refused = Exclude<Bought, { status: 'replayed' | 'reserved' | 'sold_out' }>;

function sendRefusal(reply: FastifyReply, bought: Refused): void {
  switch (bought.status) {
    case 'all_held': {
      const { available, retryAfterMs } = bought;
      sendProblem(reply, 'all_held', { available, retryAfterMs });
      return;
    }
    case 'buyer_limit': {
      const { limit, scope, holder: order } = bought;
      sendProblem(reply, 'buyer_limit', { limit, scope, order });
      return;
    }
    case 'lapse_limit': {
      const { lapses, limit } = bought;
      sendProblem(reply, 'lapse_limit', { lapses, limit });
      return;
    }
    case 'not_open': {
      const { startsAt, retryAfterMs } = bought;
      sendProblem(reply, 'drop_not_open', { startsAt: iso(startsAt), retryAfterMs });
      return;
    }
    case 'wrong_fields':
      sendProblem(reply, 'invalid_request', { errors: bought.faults });
      return;
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
      sendProblem(reply, codes[bought.status]);
  }
}

/** The code that each refusal is answered and counted with. */
const codes = {
  sold_out: 'sold_out',
  all_held: 'all_held',
  buyer_limit: 'buyer_limit',
  lapse_limit: 'lapse_limit',
  not_open: 'drop_not_open',
  no_appointment: 'no_appointment',
  paused: 'drop_paused',
  ended: 'drop_ended',
  cancelled: 'drop_ended',
  unknown_drop: 'unknown_drop',
  unknown_item: 'unknown_item',
  reused: 'idempotency_key_reused',
  not_offered: 'payment_method_not_offered',
  wrong_fields: 'invalid_request',
  frozen: 'drop_frozen',
  overloaded: 'overloaded',
  outcome_unknown: 'outcome_unknown',
} as const satisfies Record<Exclude<Bought['status'], 'reserved' | 'replayed'>, ProblemCode>;

/** What Buys are counted by: the two answers with an order, and the code of each refusal. */
export type BuyOutcome =
  | 'reserved'
  | 'replayed'
  | 'rate_limited'
  | (typeof codes)[keyof typeof codes];

export const buyOutcomes: readonly BuyOutcome[] = [
  ...new Set<BuyOutcome>(['reserved', 'replayed', 'rate_limited', ...Object.values(codes)]),
];

function outcomeOf(status: Bought['status']): BuyOutcome {
  return status === 'reserved' || status === 'replayed' ? status : codes[status];
}

/**
 * Writes boughtBody by hand: none of its parts can hold a quote, since a sku, a currency and an id
 * are letters, digits, dots, dashes and underscores. Only what never changes is in it, so that a
 * replay is the same bytes.
 */
function sendOrder(
  reply: FastifyReply,
  { order, drop, status }: Extract<Bought, { order: Order }>,
): void {
  const { id, item, quantity, amount } = order;
  const headers = ['location', `/v1/orders/${id}`, ...jsonHeaders];
  if (status === 'replayed') headers.push('idempotency-replayed', 'true');
  sendText(reply, {
    status: 202,
    headers,
    text: `{"id":"${id}","state":"reserved","sku":"${drop.items[item]?.sku}","quantity":${quantity},"amount":${amount},"currency":"${drop.currency}","expiresAt":"${iso(firstExpiresAt(order))}"}`,
  });
}

const jsonHeaders = ['content-type', 'application/json; charset=utf-8'];
const problemHeaders = ['content-type', `${problemType}; charset=utf-8`];

/** Most answers of a sale are this one, so its text is written once. */
function sendSoldOut(reply: FastifyReply, available: number): void {
  const text = available === 0 ? soldOutText : problemText('sold_out', { available });
  sendText(reply, { status: problems.sold_out.status, headers: problemHeaders, text });
}

const soldOutText = problemText('sold_out', { available: 0 });

const buyContract = contract({
  tag: 'Buyers',
  who: 'buyer',
  summary: 'Buy',
  description:
    'Reserves units at once; the payment follows after the answer. The same Idempotency-Key of the same buyer always gives the same order.',
  body: buyBody,
  // Charged by a hook of the route, which counts the refusals by outcome.
  cost: 0,
  idempotent: true,
  answers: {
    202: {
      description: 'The units are reserved until `expiresAt`; the order tells a new end',
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
    'lapse_limit',
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
