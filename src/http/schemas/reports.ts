import { z } from 'zod';
import { dropStates } from '../../domain/drop.ts';
import { figuresBody } from './drops.ts';
import { count, instant } from './fields.ts';

const lapseCounts = {
  expired: count,
  cancelled: count.describe('By their buyers'),
  declined: count.describe('The payment was declined, or the wallet held less than the price'),
};

/** The figures of a drop. Units come from the lanes, orders and times from the ledger. */
export const reportBody = z.strictObject({
  drop: z.string(),
  state: z.enum(dropStates),
  perBuyer: z
    .int()
    .nullable()
    .describe('Units of all items together that one buyer may have; null: no such limit'),
  at: instant.describe("Redis' clock when the lanes were read"),
  items: z.array(
    figuresBody.extend({
      sku: z.string(),
      title: z.string(),
      perBuyer: z.int(),
      lanes: z.array(figuresBody),
    }),
  ),
  appointments: count,
  lapses: z
    .strictObject({
      ...lapseCounts,
      buyers: z
        .array(z.strictObject({ buyer: z.string(), ...lapseCounts }))
        .describe('The twenty buyers with most of them'),
    })
    .describe('Holds that ended unpaid, whether they count against their buyers or not'),
  funnel: z.strictObject({
    orders: z.strictObject({ reserved: count, paid: count, released: count, refunded: count }),
    releases: z.record(z.string(), count).describe('Released orders by reason'),
  }),
  rates: z.strictObject({
    firstReservedAt: instant.nullable(),
    lastReservedAt: instant.nullable(),
    firstPaidAt: instant.nullable(),
    lastPaidAt: instant.nullable(),
    reservedPerSecond: z.number().nullable(),
    paidPerSecond: z.number().nullable(),
    settleMsMedian: z.number().nullable().describe('From reserved to paid'),
    settleMs99: z.number().nullable(),
  }),
  actions: z
    .array(
      z.strictObject({
        at: instant,
        kind: z.enum(['refund', 'adjustment']),
        actor: z.string().describe('The id of the API key, without its secret'),
        subject: z.string().describe('The order that was refunded, or the sku'),
        amount: z
          .int()
          .nullable()
          .describe('Minor units of a refund, null for all that was left; units of an adjustment'),
        reason: z.string(),
      }),
    )
    .describe('Refunds and stock adjustments of the merchant, newest first, 200 at most'),
});

export const auditBody = z.strictObject({
  drop: z.string(),
  at: instant.describe("Redis' clock at the last reading"),
  clean: z.boolean().describe('Every promise was checked and holds'),
  settled: z
    .boolean()
    .describe(
      'False when the drop kept changing, so that a difference could be neither cleared nor confirmed',
    ),
  backlog: count.describe('Outbox entries not relayed yet'),
  checks: z.array(
    z.strictObject({
      promise: z.int(),
      title: z.string(),
      ok: z.boolean(),
      figures: z.record(z.string(), z.number()),
      findings: z.array(z.string()),
    }),
  ),
});
