import { type OrderId, type OrderRef, placeOf } from '../../domain/ids.ts';
import { byLane } from '../../inventory/by-lane.ts';
import type { HoldDeferral as Deferral, Lanes } from '../../inventory/lanes.ts';
import type { Payments } from '../../ledger/payments/payments.ts';
import type { Log } from '../../log.ts';
import type { Providers } from '../../payments/provider.ts';
import { isOpen } from './batch.ts';
import { closingGraceMs } from './payment-rules.ts';

export type HoldDeferral = {
  /**
   * Keeps an order's hold from the sweep for a grace beyond its end. To be called between writing a
   * payment to the ledger and beginning it at the provider.
   * @returns false when the order is not reserved any more: then nothing may be begun
   */
  defer(place: OrderRef): Promise<boolean>;
  /**
   * Tells the lane how a payment began that the hold was deferred for. An order whose buyer tried to pay
   * and could not, because a provider or a store was away, does not count against them when it ends unpaid;
   * once its buyer can pay, it does. Never rejects: an order counts by default.
   */
  began(id: OrderId, start: 'failed' | 'payable'): Promise<void>;
  /**
   * Tells the lanes of orders whose payment the engine could not close, because its provider did not answer:
   * they do not count against their buyers. Never rejects: an order counts by default.
   */
  unclosed(ids: readonly OrderId[]): Promise<void>;
  /**
   * Puts the holds of these orders back to their end, unless a payment of them is open again. Never
   * rejects: a hold that is not put back is swept when its grace is over.
   */
  lift(ids: readonly OrderId[]): Promise<void>;
};

/**
 * Defers the sweep of holds whose payment is open at a provider, so that the payment is closed before
 * its units are on sale again, as long as closing takes no longer than the grace (`graceMs`, ms). The
 * lane decides without the ledger: a hold that is neither lifted nor released is swept when its grace
 * is over.
 */
export function openHoldDeferral(options: {
  lanes: Pick<Lanes, 'defer'>;
  payments: Pick<Payments, 'ofOrders'>;
  providers: Providers;
  log: Log;
  graceMs?: number | undefined;
}): HoldDeferral {
  const { lanes, payments, providers, log, graceMs = closingGraceMs } = options;

  async function set(ids: readonly OrderId[], to: Deferral['to']): Promise<void> {
    const places = ids.map(placeOf);
    await Promise.all(
      byLane(places).map(({ ref, places: group }) => {
        return lanes.defer(
          ref,
          group.map(({ digest }) => ({ digest, to })),
        );
      }),
    );
  }

  return {
    async defer(place) {
      const [answer] = await lanes.defer(place, [{ digest: place.digest, to: graceMs }]);
      return answer?.status === 'deferred';
    },

    async began(id, start) {
      try {
        await set([id], start);
        if (start === 'payable') return;
        // Two requests may begin one payment. The one that succeeds stores what the buyer needs before it
        // says `payable`: whichever of the two comes last to the lane, it is this that stands.
        const attempts = await payments.ofOrders([id]);
        if (!attempts.some(({ action }) => action !== null)) return;
        await set([id], 'payable');
      } catch (error) {
        log.warn({ err: error, order: id, start }, 'telling a lane how a payment began failed');
      }
    },

    async unclosed(ids) {
      try {
        await set(ids, 'failed');
      } catch (error) {
        log.warn(
          { err: error, orders: ids.length },
          'telling lanes of payments that could not be closed failed',
        );
      }
    },

    async lift(ids) {
      if (ids.length === 0) return;
      try {
        await set(ids, 0);
        // Read after the lift: a payment that was begun before it is seen here, and one that is begun
        // after it defers the hold itself.
        const attempts = await payments.ofOrders(ids);
        const reopened = attempts.filter((payment) => {
          return isOpen(payment) && providers.get(payment.provider)?.startedBy === 'buyer';
        });
        await set([...new Set(reopened.map(({ orderId }) => orderId))], graceMs);
      } catch (error) {
        log.warn({ err: error, orders: ids.length }, 'putting holds back to their end failed');
        // Which of them has an open payment is not known: all of them keep the grace.
        await set(ids, graceMs).catch(() => {});
      }
    },
  };
}
