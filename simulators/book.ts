import type { BookEvent, BookedCharge, SimulatedBook } from './protocol.ts';

export type OpenBook = SimulatedBook & {
  /** Closes charges whose time is over. Reading a charge closes it too. */
  expire(): void;
};

/** Opens a book over its charges, those of an earlier run included. `onEvent` is called at once for each event, in order. */
export function openBook(options: {
  charges: Map<string, BookedCharge>;
  now(): number;
  newId(of: 'charge' | 'refund' | 'event'): string;
  /** Whether a charge that has ended is captured all the same: a fault. */
  capturesAfterEnd(reference: string): boolean;
  onEvent(event: BookEvent): void;
}): OpenBook {
  const { charges, now, newId } = options;
  /** References of open charges that expire. */
  const running = new Set<string>();
  for (const { reference, state, expiresAt } of charges.values()) {
    if (state === 'open' && expiresAt !== undefined) running.add(reference);
  }

  function emit(kind: BookEvent['kind'], charge: BookedCharge, refund?: BookEvent['refund']): void {
    options.onEvent({
      kind,
      charge: asItIs(charge),
      ...(refund && { refund: { ...refund } }),
      id: newId('event'),
      at: now(),
    });
  }

  function end(charge: BookedCharge, how: 'closed' | 'declined'): void {
    charge.state = how;
    charge.endedAt = now();
    running.delete(charge.reference);
    emit(how, charge);
  }

  function find(reference: string): BookedCharge | undefined {
    const charge = charges.get(reference);
    const over = charge?.expiresAt !== undefined && now() >= charge.expiresAt;
    if (charge?.state === 'open' && over) end(charge, 'closed');
    return charge;
  }

  function expire(): void {
    for (const reference of running) find(reference);
  }

  return {
    find,
    expire,
    all() {
      expire();
      return [...charges.values()];
    },
    open({ reference, amount, currency, notifyUrl, expiresAt, extra = {} }) {
      const known = find(reference);
      if (known) return { charge: known, fresh: false };
      if (!isMoney(amount)) throw new Error(`bug: ${amount} is no amount in minor units`);
      const charge: BookedCharge = {
        reference,
        amount,
        currency,
        notifyUrl,
        expiresAt,
        extra,
        providerReference: newId('charge'),
        state: 'open',
        createdAt: now(),
        capturedAt: undefined,
        endedAt: undefined,
        captures: 0,
        refunds: [],
      };
      charges.set(reference, charge);
      if (expiresAt !== undefined) running.add(reference);
      return { charge, fresh: true };
    },
    capture(reference) {
      const charge = find(reference);
      if (!charge) return 'refused';
      if (charge.state === 'captured') return 'already';
      const ended = charge.state !== 'open';
      if (ended && !(charge.state === 'closed' && options.capturesAfterEnd(reference))) {
        return 'refused';
      }
      charge.state = 'captured';
      charge.capturedAt = now();
      charge.captures += 1;
      running.delete(reference);
      emit('captured', charge);
      return 'captured';
    },
    close(reference, how) {
      const charge = find(reference);
      if (!charge) return 'none';
      if (charge.state === 'captured') return 'captured';
      if (charge.state !== 'open') return 'already';
      end(charge, how);
      return 'closed';
    },
    refund(reference, { reference: refundReference, amount }) {
      const charge = find(reference);
      const known = charge?.refunds.find((refund) => refund.reference === refundReference);
      if (known) return known.amount === amount ? { kind: 'already', refund: known } : reused;
      if (charge?.state !== 'captured') return { kind: 'none' };
      if (!isMoney(amount) || amount === 0 || amount > charge.amount - refundedOf(charge)) {
        return { kind: 'exceeds' };
      }
      const refund = {
        reference: refundReference,
        amount,
        at: now(),
        providerReference: newId('refund'),
      };
      charge.refunds.push(refund);
      emit('refunded', charge, refund);
      return { kind: 'refunded', refund };
    },
    changeRefund(refundReference, { failed }) {
      for (const charge of charges.values()) {
        const refund = charge.refunds.find(({ reference }) => reference === refundReference);
        if (!refund) continue;
        refund.failed = failed;
        emit('refund_changed', charge, refund);
        return refund;
      }
      return undefined;
    },
  };
}

const reused = { kind: 'reused' } as const;

function isMoney(amount: number): boolean {
  return Number.isSafeInteger(amount) && amount >= 0;
}

export function refundedOf({ refunds }: BookedCharge): number {
  return refunds.reduce((sum, { amount, failed }) => sum + (failed ? 0 : amount), 0);
}

/** A copy that later changes do not affect, except `extra`, which is shared. */
export function asItIs(charge: BookedCharge): BookedCharge {
  return { ...charge, refunds: charge.refunds.map((refund) => ({ ...refund })) };
}
