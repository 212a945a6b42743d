import { describe, expect, it } from 'vitest';
import { newApiKey } from '../../src/ledger/merchants.ts';
import { aDropId, aReference } from '../support/ids.ts';
import { onEachLedger } from '../support/ledgers.ts';
import { createDrop, orderOf } from './samples.ts';

onEachLedger((ledger) => {
  describe('Drops', () => {
    it('A drop is read as it was created', async () => {
      const drop = await createDrop(ledger());
      expect(await ledger().drops.get(drop.id)).toMatchObject(drop);
    });

    it('A drop keeps the amount above which the payment password is needed, zero and none included', async () => {
      for (const passwordAbove of [0, 50_000]) {
        const drop = await createDrop(ledger(), { passwordAbove });
        expect(await ledger().drops.get(drop.id)).toMatchObject({ passwordAbove });
        await ledger().drops.change(drop.id, () => ({ decision: 'live' }));
        expect(await ledger().drops.get(drop.id)).toMatchObject({ passwordAbove, version: 1 });
      }
      const none = await createDrop(ledger());
      expect(await ledger().drops.get(none.id)).not.toHaveProperty('passwordAbove');
    });

    it('A drop does not exist for another merchant', async () => {
      const [mine, other] = [await createDrop(ledger()), await createDrop(ledger())];
      expect(await ledger().drops.getOwned(mine.merchantId, mine.id)).toMatchObject(mine);
      expect(await ledger().drops.getOwned(other.merchantId, mine.id)).toBeUndefined();
      const list = await ledger().drops.listOwned(mine.merchantId, { limit: 10 });
      expect(list.rows.map((drop) => drop.id)).toEqual([mine.id]);
    });

    it('A drop with a duplicate sku is refused as a whole', async () => {
      const [item] = (await createDrop(ledger())).items;
      const twice = [item, item].filter((one) => one !== undefined);
      const id = aDropId('drop_twicetwice00');
      await expect(createDrop(ledger(), { id, items: twice })).rejects.toThrow(/sku/);
      expect(await ledger().drops.get(id)).toBeUndefined();
    });

    it('A drop gets one version for each of many changes at once', async () => {
      const drop = await createDrop(ledger());
      const changes = await Promise.all(
        Array.from({ length: 20 }, () =>
          ledger().drops.change(drop.id, (now) => ({
            decision: now.decision === 'live' ? 'paused' : 'live',
          })),
        ),
      );
      const versions = changes.map((change) => change?.drop.version ?? 0).sort((a, b) => a - b);
      expect(versions).toEqual(Array.from({ length: 20 }, (_, n) => n + 1));
    });

    it('A drop stays as it was when a change is refused', async () => {
      const drop = await createDrop(ledger());
      const refused = ledger().drops.change(drop.id, () => {
        throw new Error('not now');
      });
      await expect(refused).rejects.toThrow('not now');
      expect(await ledger().drops.change(drop.id, () => undefined)).toMatchObject({
        changed: false,
        drop: { version: 0 },
      });
      expect(await ledger().drops.change(aDropId('drop_000000000000'), () => ({}))).toBeUndefined();
    });

    it('A drop is unsynced until its lanes have the latest version', async () => {
      const drop = await createDrop(ledger());
      const unsynced = async () =>
        (await ledger().drops.unsynced(1_000)).some((other) => other.id === drop.id);
      expect(await unsynced()).toBe(false);
      await ledger().drops.change(drop.id, () => ({ decision: 'live' }));
      await ledger().drops.change(drop.id, () => ({ decision: 'paused' }));
      await ledger().drops.markLanes(drop.id, 1);
      expect(await unsynced()).toBe(true);
      await ledger().drops.markLanes(drop.id, 2);
      await ledger().drops.markLanes(drop.id, 1);
      await ledger().drops.markLanes(drop.id, 9); // a version that never was
      expect(await unsynced()).toBe(false);
    });

    it('A drop is active from its first publish until nothing more can come from its lanes', async () => {
      const drop = await createDrop(ledger());
      const order = orderOf(drop);
      const watched = async () =>
        (await ledger().drops.active()).some((other) => other.id === drop.id);
      expect(await watched()).toBe(false);
      await ledger().drops.change(drop.id, () => ({ decision: 'live' }));
      await ledger().drops.markLanes(drop.id, 1);
      await ledger().orders.upsert([{ order, at: 1 }]);
      expect(await ledger().drops.retire(drop.id)).toBe(false); // it is on sale
      await ledger().drops.change(drop.id, () => ({ decision: 'cancelled' }));
      expect(await ledger().drops.retire(drop.id)).toBe(false); // its lanes do not know
      await ledger().drops.markLanes(drop.id, 2);
      expect(await ledger().drops.retire(drop.id)).toBe(false); // an order is reserved
      await ledger().orders.upsert([{ order: { ...order, state: 'paid', version: 2 }, at: 2 }]);
      expect(await ledger().drops.retire(drop.id)).toBe(false); // a refund is due
      const { amount } = order;
      const [payment] = await ledger().payments.begin([
        { orderId: order.id, drop: drop.id, provider: 'wallet', amount, currency: 'CNY' },
      ]);
      await ledger().payments.record([
        { reference: aReference(payment?.reference), state: 'captured', amount },
      ]);
      expect(await ledger().orders.toRefund({ limit: 1_000 })).toContainEqual(
        expect.objectContaining({ id: order.id }),
      );
      // The next batch begins behind the last one, so orders whose refunds wait block no others.
      expect(
        await ledger().orders.toRefund({ after: { ...order, reservedAt: 1 }, limit: 1_000 }),
      ).not.toContainEqual(expect.objectContaining({ id: order.id }));
      await ledger().orders.upsert([{ order: { ...order, state: 'refunded', version: 3 }, at: 3 }]);
      expect(await watched()).toBe(true);
      expect(await ledger().drops.retire(drop.id)).toBe(true);
      expect(await watched()).toBe(false);
      await ledger().drops.revive(drop.id);
      expect(await watched()).toBe(true);
    });

    it('A drop that somebody revives just before it is retired stays active, so that what is written to its lanes then is read', async () => {
      const { drops, database } = ledger();
      const drop = await createDrop(ledger());
      await drops.change(drop.id, () => ({ decision: 'live' }));
      await drops.change(drop.id, () => ({ decision: 'ended' }));
      await drops.markLanes(drop.id, 2);
      await drops.revive(drop.id); // while it is active
      expect(await drops.retire(drop.id)).toBe(false);
      const later = 'update drops set revived_at = revived_at - 600000 where id = $1';
      await database.query(later, [drop.id]);
      expect(await drops.retire(drop.id)).toBe(true);
    });
  });

  describe('API keys', () => {
    it('An API key identifies its merchant until it is revoked', async () => {
      const { merchant, apiKey } = await ledger().merchants.create({ name: 'Phone House' });
      const second = await ledger().merchants.issueKey(merchant.id);
      expect(await ledger().merchants.verify(apiKey)).toBe(merchant.id);
      expect(await ledger().merchants.revoke(apiKey)).toBe(true);
      expect(await ledger().merchants.revoke(apiKey)).toBe(false);
      expect(await ledger().merchants.verify(apiKey)).toBeUndefined();
      expect(await ledger().merchants.verify(second)).toBe(merchant.id);
    });

    it('An API key with another secret, another id or another shape is not valid', async () => {
      const { apiKey } = await ledger().merchants.create({ name: 'Phone House' });
      const other = newApiKey();
      const wrong = [
        other,
        `${apiKey.slice(0, 17)}${other.slice(17)}`,
        `${other.slice(0, 17)}${apiKey.slice(17)}`,
        `${apiKey}x`,
        apiKey.toUpperCase(),
        '',
        'fdk__',
      ];
      for (const key of wrong) expect(await ledger().merchants.verify(key)).toBeUndefined();
    });

    it('The secret of an API key is not in the ledger', async () => {
      const { apiKey } = await ledger().merchants.create({ name: 'Phone House' });
      const rows = await ledger().database.query('select * from api_keys');
      expect(JSON.stringify(rows)).not.toContain(apiKey.slice(17));
    });

    it('An API key from the configuration is adopted once', async () => {
      const apiKey = newApiKey();
      const merchant = await ledger().merchants.adopt({ name: 'Demo', apiKey });
      expect(await ledger().merchants.adopt({ name: 'Demo', apiKey })).toEqual(merchant);
      expect(await ledger().merchants.verify(apiKey)).toBe(merchant.id);
    });
  });
});
