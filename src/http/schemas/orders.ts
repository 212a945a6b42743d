import { z } from 'zod';
import { paymentMethods } from '../../domain/order.ts';
import { count, instant, minorUnits, orderState, sku } from './fields.ts';

export const paymentMethod = z.enum(paymentMethods);

export const buyBody = z.strictObject({
  sku,
  quantity: z.int().min(1).max(10_000),
  payment: z.strictObject({ method: paymentMethod }),
});

/** The answer to an accepted Buy: the same bytes for every replay, whatever became of the order. */
export const boughtBody = z.strictObject({
  id: z.string(),
  state: z.literal('reserved'),
  sku,
  quantity: z.int(),
  amount: minorUnits,
  currency: z.string(),
  expiresAt: instant,
});

export const paymentBody = z.strictObject({
  order: z.string(),
  method: z.string(),
  state: z
    .enum(['waiting', 'started', 'unknown', 'declined', 'captured', 'refunded'])
    .describe('`waiting` until the engine has asked the provider, which it does by itself'),
  reason: z.string().optional(),
});

export const orderBody = z.strictObject({
  id: z.string(),
  drop: z.string(),
  state: orderState,
  sku,
  quantity: z.int(),
  amount: minorUnits,
  currency: z.string(),
  expiresAt: instant.describe('End of the hold'),
  reservedAt: instant.optional(),
  paidAt: instant.optional(),
  releasedAt: instant.optional(),
  refundedAt: instant.optional(),
  reason: z.string().optional().describe('Why the order was released'),
  reasonText: z.string().optional().describe('The same, for people'),
  payment: z
    .strictObject({ provider: z.string(), state: z.string(), reason: z.string().optional() })
    .optional(),
});

export const paymentStartBody = z.strictObject({ method: paymentMethod }).optional();

export const walletEntry = z.strictObject({
  id: z.int(),
  kind: z.enum(['capture', 'refund', 'topup']),
  reference: z.string(),
  amount: z.int().describe('Negative when money left the wallet'),
  balance: minorUnits.describe('The balance after it'),
  at: instant,
});

export const walletBody = z.strictObject({
  password: z
    .strictObject({
      set: z.boolean(),
      lockedUntil: instant.optional().describe('No try is taken before it'),
    })
    .describe('The payment password'),
  balances: z.array(z.strictObject({ currency: z.string(), amount: minorUnits })),
  currency: z.string().optional().describe('The currency of `entries`'),
  entries: z.array(walletEntry).describe('Newest first'),
  next: z.string().optional(),
});

/** The order as a merchant sees it: with its buyer. */
export const soldOrderBody = orderBody.extend({ buyer: z.string(), lane: count });
export const soldOrdersBody = z.strictObject({
  orders: z.array(soldOrderBody),
  next: z.string().optional(),
});
