import { Readable } from 'node:stream';
import { request } from 'undici';
import type { Sources } from './auditor/sources.ts';

export type DropWish = {
  sku: string;
  units: number;
  title?: string;
  /** When it opens, ms since the epoch; at once when absent. */
  startsAt?: number;
  /** Only buyers with an appointment may buy. */
  byAppointment?: boolean;
};

export type CopiedDrop = {
  id: string;
  title: string;
  currency: string;
  appointment: unknown;
  /** Units of all items together that one buyer may have; null for no such limit. */
  perBuyer: number | null;
  items: { sku: string; unitAmount: number; allotment: number; perBuyer: number }[];
};

export type Merchant = Sources & {
  /** Creates and publishes a drop; gives its id. */
  openDrop(wish: DropWish): Promise<string>;
  /**
   * Copies a drop under another title, with the same items and rules, and publishes the copy. It is
   * paid from the wallet without a password.
   */
  copyDrop(drop: string, copy: { title: string; startsAt: number }): Promise<CopiedDrop>;
  /** Moves the opening of a drop that has not opened. */
  moveOpening(drop: string, startsAt: number): Promise<void>;
  cancel(drop: string): Promise<void>;
  /** Gives appointments to the buyers of an NDJSON list, which is sent as it is made. */
  importBuyers(
    drop: string,
    list: Iterable<string>,
    stop?: AbortSignal,
  ): Promise<{ imported: number }>;
  /** Tokens of buyers with enough money for a unit; another prefix gives other buyers. */
  gatherCrowd(size: number, prefix?: string): Promise<{ buyer: string; token: string }[]>;
  /** Units that lanes or ledger still hold, or that only one of them knows to be sold. */
  unsettled(drop: string): Promise<number>;
};

export const unitAmount = 199_900;
const tokensAtOnce = 1_000;
const openMs = 24 * 3_600_000;
const importMsMax = 1_800_000;

/** The requests of a load test as a merchant and, in demo mode, for its crowd. */
export function openMerchant(engine: { address: string; merchantKey: string }): Merchant {
  async function open(method: 'GET' | 'POST' | 'PATCH', path: string, body?: unknown) {
    const { statusCode, body: answer } = await request(`${engine.address}${path}`, {
      method,
      headersTimeout: 120_000,
      bodyTimeout: 120_000,
      headers: {
        authorization: `Bearer ${engine.merchantKey}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    if (statusCode >= 300) {
      throw new Error(`${method} ${path}: ${statusCode} ${await answer.text()}`);
    }
    return answer;
  }

  async function call(
    method: 'GET' | 'POST' | 'PATCH',
    path: string,
    body?: unknown,
  ): Promise<string> {
    return (await open(method, path, body)).text();
  }

  return {
    async openDrop({ sku, units, title = 'Sell-out', startsAt = Date.now(), byAppointment }) {
      const created = await call('POST', '/v1/drops', {
        title,
        currency: 'CNY',
        startsAt: new Date(startsAt).toISOString(),
        endsAt: new Date(startsAt + openMs).toISOString(),
        ...(byAppointment ? { appointment: {} } : {}),
        items: [{ sku, title: 'Phone', unitAmount, allotment: units, perBuyer: 1 }],
      });
      const { id } = JSON.parse(created) as { id: string };
      await call('POST', `/v1/drops/${id}/publish`);
      return id;
    },

    async copyDrop(drop, { title, startsAt }) {
      const copied = await call('POST', `/v1/drops/${drop}/duplicate`, {
        title,
        startsAt: new Date(startsAt).toISOString(),
        endsAt: new Date(startsAt + openMs).toISOString(),
        paymentMethods: ['wallet'],
        passwordAbove: null,
      });
      const copy = JSON.parse(copied) as CopiedDrop;
      await call('POST', `/v1/drops/${copy.id}/publish`);
      return copy;
    },

    async moveOpening(drop, startsAt) {
      await call('PATCH', `/v1/drops/${drop}`, { startsAt: new Date(startsAt).toISOString() });
    },

    async cancel(drop) {
      await call('POST', `/v1/drops/${drop}/cancel`);
    },

    async importBuyers(drop, list, stop) {
      const path = `/v1/drops/${drop}/appointments/import`;
      const { statusCode, body: answer } = await request(`${engine.address}${path}`, {
        method: 'POST',
        headersTimeout: importMsMax,
        headers: {
          authorization: `Bearer ${engine.merchantKey}`,
          'content-type': 'application/x-ndjson',
        },
        body: Readable.from(list),
        ...(stop ? { signal: stop } : {}),
      });
      const text = await answer.text();
      const { imported, bad } = JSON.parse(text) as { imported: number; bad: number };
      if (statusCode !== 200 || bad > 0) throw new Error(`POST ${path}: ${statusCode} ${text}`);
      return { imported };
    },

    async gatherCrowd(size, prefix = 'buyer-') {
      const crowd: { buyer: string; token: string }[] = [];
      for (let from = 0; from < size; from += tokensAtOnce) {
        const count = Math.min(tokensAtOnce, size - from);
        const minted = await call('POST', '/demo/crowds', { prefix: `${prefix}${from}-`, count });
        const { tokens } = JSON.parse(minted) as { tokens: { sub: string; token: string }[] };
        crowd.push(...tokens.map(({ sub, token }) => ({ buyer: sub, token })));
      }
      return crowd;
    },

    async unsettled(drop) {
      const { items, funnel } = JSON.parse(await call('GET', `/v1/drops/${drop}/report`)) as {
        items: { held: number; sold: number }[];
        funnel: { orders: Record<string, number> };
      };
      const held = items.reduce((sum, item) => sum + item.held, 0);
      const sold = items.reduce((sum, item) => sum + item.sold, 0);
      const { reserved = 0, paid = 0 } = funnel.orders;
      return held + reserved + Math.abs(sold - paid);
    },

    async *orders(drop) {
      const csv = await open('GET', `/v1/drops/${drop}/orders?format=csv`);
      let names: string[] | undefined;
      for await (const row of rowsOf(csv)) {
        // The sale's own buyers and states need no quoting.
        const cells = row.split(',');
        const cell = (name: string) => cells[names?.indexOf(name) ?? -1] ?? '';
        if (names === undefined) names = cells;
        else if (row !== '') {
          yield {
            id: cell('order'),
            buyer: cell('buyer'),
            sku: cell('sku'),
            state: cell('state'),
            quantity: Number(cell('quantity')),
          };
        }
      }
    },

    async report(drop) {
      return JSON.parse(await call('GET', `/v1/drops/${drop}/report`));
    },

    async movements(buyers) {
      const text = await call('POST', '/demo/statements', { buyers });
      return (JSON.parse(text) as { movements: Awaited<ReturnType<Sources['movements']>> })
        .movements;
    },

    audit: async (drop) => JSON.parse(await call('GET', `/v1/drops/${drop}/audit`)),
  };
}

/** The rows of a CSV without quotes. One that breaks off is an error, not a shorter list. */
async function* rowsOf(csv: Readable): AsyncGenerator<string> {
  let rest = '';
  for await (const part of csv.setEncoding('utf8')) {
    const rows = (rest + part).split('\r\n');
    rest = rows.pop() ?? '';
    yield* rows;
  }
  if (rest !== '') yield rest;
}
