import type { Order } from '../domain/order.ts';
import type { Payment, PaymentFact } from '../ledger/payments.ts';
import type { Charge, Outcome, PaymentProvider } from '../payments/provider.ts';
import type { Log } from './log.ts';
import type { Terms } from './terms.ts';

/** An order whose payment is open: begun, and its outcome not known. */
export type OpenCharge = {
  order: Order;
  terms: Terms;
  payment: Payment;
  /** Begun just now by the caller, so that nobody can have charged it yet. */
  fresh: boolean;
  /** False when the order has ended or its hold has: then the payment is only brought to an end. */
  mayCharge: boolean;
};

/** Charges and closes payments, each through its provider; gives what is now known of them. */
export type Charging = (open: readonly OpenCharge[]) => Promise<PaymentFact[]>;

export function openCharging(options: {
  providers: ReadonlyMap<string, PaymentProvider>;
  log: Log;
}): Charging {
  const { providers, log } = options;

  return async function charge(open) {
    const facts: PaymentFact[] = [];
    for (const [name, group] of Map.groupBy(open, (one) => one.payment.provider)) {
      const provider = providers.get(name);
      if (!provider) {
        log.error({ provider: name, payments: group.length }, 'no such provider to charge through');
        continue;
      }
      for (const ask of [closeEnded, chargeFresh, chargeSeen]) {
        try {
          facts.push(...(await ask(provider, group)).flatMap(factsOf));
        } catch (error) {
          // Nothing is known of these: they stay open, and the next try begins with a look-up.
          log.warn({ err: error, provider: name }, 'a provider did not answer');
        }
      }
    }
    return facts;
  };
}

async function closeEnded(provider: PaymentProvider, group: OpenCharge[]): Promise<Outcome[]> {
  const ended = group.filter((one) => !one.mayCharge);
  return ended.length === 0 ? [] : await provider.close(ended.map(refOf));
}

async function chargeFresh(provider: PaymentProvider, group: OpenCharge[]): Promise<Outcome[]> {
  const fresh = group.filter((one) => one.mayCharge && one.fresh);
  return fresh.length === 0 ? [] : await provider.start(fresh.map(chargeOf));
}

/** Somebody began these before: they are charged only when the provider has never heard of them. */
async function chargeSeen(provider: PaymentProvider, group: OpenCharge[]): Promise<Outcome[]> {
  const seen = group.filter((one) => one.mayCharge && !one.fresh);
  if (seen.length === 0) return [];
  const known = await provider.lookUp(seen.map(refOf));
  const unheard = new Set(known.flatMap((o) => (o.kind === 'none' ? [o.reference] : [])));
  const toStart = seen.filter((one) => unheard.has(referenceOf(one)));
  const started = toStart.length === 0 ? [] : await provider.start(toStart.map(chargeOf));
  return [...known, ...started];
}

const referenceOf = (one: OpenCharge) => one.payment.reference;

const refOf = ({ payment: { reference, startedAt } }: OpenCharge) => ({ reference, startedAt });

export function chargeOf({
  order,
  terms,
  payment,
}: Pick<OpenCharge, 'order' | 'terms' | 'payment'>): Charge {
  return {
    reference: payment.reference,
    startedAt: payment.startedAt,
    orderId: order.id,
    buyer: order.buyer,
    merchantId: terms.merchantId,
    amount: payment.amount,
    currency: payment.currency,
    title: order.id,
    expiresAt: order.expiresAt,
    wish: {},
  };
}

export function factsOf(outcome: Outcome): PaymentFact[] {
  const { reference, kind } = outcome;
  switch (kind) {
    case 'captured':
      return [{ reference, state: 'captured', amount: outcome.amount }];
    case 'declined':
      return [{ reference, state: 'declined', reason: outcome.reason }];
    case 'unknown':
      return [{ reference, state: 'unknown' }];
    case 'pending':
    case 'none':
      return [];
  }
}
