import { z } from 'zod';
import { orderAmountMax } from '../../domain/money.ts';
import { paymentMethods } from '../../domain/order.ts';
import {
  count,
  currency,
  instant,
  minorUnits,
  noControls,
  orderState,
  sku,
  stringMap,
  textMap,
} from './fields.ts';
import { paymentPassword } from './payment-password.ts';

export const paymentMethod = z.enum(paymentMethods);

const orderMetadata = stringMap.describe("The client's own notes, to find the order by");
const givenFields = textMap({ namesMax: 20, nameMax: 40, textMax: 1_000 });

export const buyBody = z.strictObject({
  sku,
  quantity: z.int().min(1).max(10_000),
  payment: z.strictObject({ method: paymentMethod }),
  fields: givenFields
    .optional()
    .describe('What the drop asks of its buyers: see `fields` of the card'),
  metadata: orderMetadata.optional(),
});

/** The answer to an accepted Buy: the same bytes for every replay, whatever state the order is in. */
export const boughtBody = z.strictObject({
  id: z.string(),
  state: z.literal('reserved'),
  sku,
  quantity: z.int(),
  amount: minorUnits,
  currency: z.string(),
  expiresAt: instant,
});

/** What the buyer's client does to pay. */
export const clientAction = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('redirect'), url: z.string() }),
  z.strictObject({ kind: z.literal('qr'), text: z.string() }),
  z.strictObject({ kind: z.literal('sdk'), parameters: z.record(z.string(), z.string()) }),
]);

export const paymentBody = z.strictObject({
  order: z.string(),
  method: z.string(),
  state: z
    .enum(['waiting', 'started', 'unknown', 'declined', 'captured', 'refunded'])
    .describe('`waiting` until it is started, by the engine or by the buyer'),
  reason: z.string().optional(),
  payableUntil: instant.optional().describe('When a payment at a provider is closed'),
  action: clientAction.optional().describe("What the buyer's client does now"),
});

export const orderBody = z.strictObject({
  id: z.string(),
  drop: z.string(),
  state: orderState,
  sku,
  quantity: z.int(),
  amount: minorUnits,
  currency: z.string(),
  expiresAt: instant.describe('End of the hold as it is now: beginning a payment may extend it'),
  reservedAt: instant.optional(),
  paidAt: instant.optional(),
  releasedAt: instant.optional(),
  refundedAt: instant.optional(),
  reason: z.string().optional().describe('Why the order was released'),
  reasonText: z.string().optional().describe('`reason` for people'),
  payment: z
    .strictObject({ provider: z.string(), state: z.string(), reason: z.string().optional() })
    .optional(),
  amountRefunded: minorUnits.optional().describe('The part of the payment that has been refunded'),
  awaits: z
    .enum(['payment', 'password'])
    .optional()
    .describe('What the buyer must do: POST /v1/orders/:order/payment starts the payment'),
  fields: givenFields.optional().describe('What the buyer gave with the Buy'),
  metadata: orderMetadata.optional(),
});

export const ordersBody = z.strictObject({
  orders: z.array(orderBody),
  next: z.string().optional(),
});

/** How the buyer wants to pay. */
const wishFields = {
  scene: z
    .string()
    .regex(/^[a-z0-9_]{1,32}$/)
    .optional()
    .describe("One of the method's `scenes`; its first when absent"),
  openid: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,128}$/)
    .optional()
    .describe('The id of the buyer at WeChat, for the scene jsapi'),
  returnUrl: z
    .string()
    .max(256)
    .meta({ format: 'uri' })
    .optional()
    .describe(
      "Where the provider's page sends the buyer afterwards, on a site or in an app that the operator allows; a visit there is no proof of payment",
    ),
};

export const paymentStartBody = z
  .strictObject({
    method: paymentMethod,
    ...wishFields,
    password: paymentPassword
      .optional()
      .describe('Needed for wallet payments above an amount: six digits'),
  })
  .optional();

export const topUpBody = z.strictObject({
  amount: z.int().min(1).max(1_000_000_000),
  currency,
  method: paymentMethod.optional().describe('How it is paid; absent only in demo mode'),
  ...wishFields,
});

/** A top-up that is paid with another provider. */
export const topUpStateBody = z.strictObject({
  id: z.string(),
  state: z.enum(['open', 'credited']),
  amount: minorUnits,
  currency: z.string(),
  action: clientAction.optional().describe("What the buyer's client does now"),
});

/** Refunds everything without a body or an amount, else a part. */
export const refundBody = z
  .strictObject({
    amount: z
      .int()
      .min(1)
      .max(orderAmountMax)
      .optional()
      .describe('Everything that is left when absent'),
    reason: z
      .string()
      .max(80)
      .regex(...noControls)
      .default(''),
    restock: z
      .boolean()
      .default(true)
      .describe(
        'Whether the units go back on sale once all is refunded; false takes them out of the allotment',
      ),
  })
  .optional();

export const refundedBody = orderBody.extend({
  refund: z
    .strictObject({
      id: z.string(),
      amount: minorUnits,
      state: z.enum(['asked', 'pending', 'done', 'failed']),
    })
    .optional()
    .describe('The refund that this request made, or the latest one'),
});

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
      lockedUntil: instant.optional().describe('No password is accepted before it'),
    })
    .describe('The payment password'),
  balances: z.array(z.strictObject({ currency: z.string(), amount: minorUnits })),
  currency: z.string().optional().describe('The currency of `entries`'),
  entries: z.array(walletEntry).describe('Newest first'),
  next: z.string().optional(),
});

/** An order as its merchant reads it: with its buyer and lane, and what its payment is known by. */
export const soldOrderBody = orderBody.extend({
  payment: z
    .strictObject({
      provider: z.string(),
      state: z.string(),
      reason: z.string().optional(),
      reference: z.string().describe('What the provider knows the payment by'),
      providerReference: z.string().optional().describe("The provider's own id of the payment"),
    })
    .optional(),
  buyer: z.string(),
  lane: count,
});
export const soldOrdersBody = z.strictObject({
  orders: z.array(soldOrderBody),
  next: z.string().optional(),
});
