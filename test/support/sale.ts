import { randomBytes } from 'node:crypto';
import { request } from 'undici';
import { expect } from 'vitest';
import { auditSale } from '../../loadtest/auditor/auditor.ts';
import type { BookLine } from '../../loadtest/auditor/book.ts';
import type { ProviderCharge } from '../../loadtest/auditor/sources.ts';
import { type Attempt, type Book, linesOf, runCrowd } from '../../loadtest/crowd.ts';
import { openMerchant } from '../../loadtest/merchant.ts';
import type { DropAction } from '../../src/domain/drop.ts';
import { eventually } from './eventually.ts';
import { aDropId } from './ids.ts';

export const price = 199_900;
/** What demo mode puts into a new buyer's wallet. */
export const purse = 1_000_000;
const sku = 'phone';

export type Buyer = { buyer: string; token: string };

export type Answer = Omit<Attempt, 'key' | 'again'> & {
  retryAfter: string | undefined;
  json: Record<string, unknown>;
};

export type SaleOptions = {
  units: number;
  perBuyer?: number;
  holdMs?: number;
  lateCapture?: 'retake' | 'refund';
  /** Above it a wallet pays only with its password. */
  passwordAbove?: number;
  currency?: string;
};

/** What the audit counted of a drop in which nothing moves any more. */
export type Outcome = {
  available: number;
  held: number;
  sold: number;
  allotment: number;
  orders: number;
  paid: number;
  captured: number;
  refunded: number;
};

export type Sale = Awaited<ReturnType<typeof openSale>>;

/**
 * A drop on sale, worked over HTTP alone: as its buyers, as its merchant, and at the end as the
 * auditor. The engine, in demo mode, may be gone and come back at the same address.
 */
export async function openSale(
  engine: { address: string; merchantKey: string },
  { units, perBuyer = 1, ...rules }: SaleOptions,
  /** What the books of other providers have for this sale. */
  charges?: () => AsyncIterable<ProviderCharge>,
) {
  const merchant = openMerchant(engine);
  const book: Book = new Map();
  const parts: BookLine[] = [];
  const crowds: { prefix: string; count: number }[] = [];
  const now = Date.now();
  const created = await call('POST', '/v1/drops', {
    token: engine.merchantKey,
    body: {
      title: 'A sale',
      currency: 'CNY',
      ...rules,
      startsAt: new Date(now - 1_000).toISOString(),
      endsAt: new Date(now + 3_600_000).toISOString(),
      items: [{ sku, title: 'A phone', unitAmount: price, allotment: units, perBuyer }],
    },
  });
  expect(created.status, created.body).toBe(201);
  const drop = aDropId(created.json['id'] as string);
  expect(await act('publish')).toMatchObject({ status: 200 });

  async function call(
    method: 'GET' | 'POST',
    path: string,
    options: { token?: string; key?: string; body?: unknown } = {},
  ): Promise<Answer> {
    const { token, key, body } = options;
    const answer = await request(`${engine.address}${path}`, {
      method,
      headers: {
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(key === undefined ? {} : { 'idempotency-key': key }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.body.text();
    const json = text.startsWith('{') ? JSON.parse(text) : {};
    return {
      status: answer.statusCode,
      code: json.code ?? '',
      replayed: answer.headers['idempotency-replayed'] === 'true',
      body: text,
      retryAfter: answer.headers['retry-after'] as string | undefined,
      json,
    };
  }

  function act(action: DropAction): Promise<Answer> {
    return call('POST', `/v1/drops/${drop}/${action}`, { token: engine.merchantKey });
  }

  /** New buyers, named by the prefix and a number from 0. Those without means have money, but in another currency. */
  async function gather(
    count: number,
    { means = true, prefix = `b${randomBytes(5).toString('hex')}-` } = {},
  ): Promise<Buyer[]> {
    const currency = means ? 'CNY' : 'USD';
    const minted = await call('POST', '/demo/crowds', { body: { prefix, count, currency } });
    expect(minted.status, minted.body).toBe(201);
    crowds.push({ prefix, count });
    const tokens = minted.json['tokens'] as { sub: string; token: string }[];
    return tokens.map(({ sub, token }) => ({ buyer: sub, token }));
  }

  async function one(options?: { means?: boolean }): Promise<Buyer> {
    const [buyer] = await gather(1, options);
    if (!buyer) throw new Error('bug: a crowd of one is empty');
    return buyer;
  }

  /** One Buy, entered in the book; without an answer its status is 0. */
  async function press(
    { buyer, token }: Buyer,
    { key = `key-of-${buyer}`, quantity = 1, method = 'wallet' } = {},
  ): Promise<Answer> {
    const body = { sku, quantity, payment: { method } };
    const again = (book.get(buyer) ?? []).some((one) => one.status === 202 && one.key === key);
    const answer = await call('POST', `/v1/drops/${drop}/orders`, { token, key, body }).catch(
      (error: Error): Answer => {
        const none = { status: 0, code: error.message, replayed: false, body: '' };
        return { ...none, retryAfter: undefined, json: {} };
      },
    );
    book.set(buyer, [...(book.get(buyer) ?? []), { key, again, ...answer }]);
    return answer;
  }

  /** Waits until nothing moves any more; the audit must be clean, the money whole to the unit. */
  async function settled(): Promise<Outcome> {
    await eventually(async () => (await merchant.unsettled(drop)) === 0);
    return await eventually(async () => {
      const audit = await merchant.audit(drop);
      const findings = audit.checks.flatMap((check) => check.findings);
      if (!audit.clean) throw new Error(`the audit is not clean: ${findings.join('; ')}`);
      const figures = Object.assign({}, ...audit.checks.map((check) => check.figures));
      const { amountPaid, kept, walletKept, transferred, underWay, parts } = figures;
      expect({ kept, underWay }).toEqual({ kept: amountPaid - parts, underWay: 0 });
      if (!charges)
        expect({ walletKept, transferred }).toEqual({ walletKept: kept, transferred: kept });
      return figures as Outcome;
    });
  }

  return {
    drop,
    book,
    call,
    act,
    gather,
    one,
    press,
    settled,

    /** A crowd that presses and, where it gets no answer, presses again under the same key. */
    async run(
      buyers: Buyer[],
      options: {
        pressing?: number;
        onAccepted?(accepted: number): void;
        /** Another book than the sale's own. */
        into?: Book;
        /** Another process of the same engine. */
        address?: string;
      } = {},
    ): Promise<void> {
      const { pressing = 50, onAccepted = () => {}, into = book } = options;
      const { address = engine.address } = options;
      const crowd = { address, drop, sku, buyers, pressing, onAccepted, book: into };
      await runCrowd({ ...crowd, repeatRate: 0.2, random: sequence() });
    },

    /** Settled, and then held against what the clients were told. */
    async judged(): Promise<Outcome> {
      const outcome = await settled();
      const items = [{ sku, units: outcome.allotment, unitAmount: price, perBuyer }];
      const head = { drop, items, crowds };
      const lines = [...linesOf(book), ...parts];
      const sources = charges ? { ...merchant, charges } : merchant;
      const verdict = await auditSale({ head, lines, sources });
      expect(verdict.breaches).toEqual([]);
      return outcome;
    },

    /** Units now, as the merchant's report has them. */
    async figures(): Promise<Pick<Outcome, 'available' | 'held' | 'sold' | 'allotment'>> {
      const { json } = await call('GET', `/v1/drops/${drop}/report`, { token: engine.merchantKey });
      const [item] = json['items'] as Outcome[];
      if (!item) throw new Error('the report names no item');
      return item;
    },

    /** The codes that the book has, each once; '' is a 202. */
    told(): string[] {
      return [...new Set([...book.values()].flat().map(({ code }) => code))].sort();
    },

    async order({ token }: Buyer, id: unknown): Promise<Record<string, unknown>> {
      const answer = await call('GET', `/v1/orders/${id}`, { token });
      expect(answer.status, answer.body).toBe(200);
      return answer.json;
    },

    cancel: ({ token }: Buyer, id: unknown) => call('POST', `/v1/orders/${id}/cancel`, { token }),

    refund: (id: unknown) => call('POST', `/v1/orders/${id}/refund`, { token: engine.merchantKey }),

    /** A part of the money of an order; the sale's book has those that were taken on. */
    async refundPart(id: string, amount: number, key: string): Promise<Answer> {
      const body = { amount, reason: 'a test' };
      const path = `/v1/orders/${id}/refund`;
      const answer = await call('POST', path, { token: engine.merchantKey, key, body });
      const taken = answer.status === 200 || answer.status === 202;
      if (taken) parts.push({ kind: 'gave_back', at: 0, buyer: '', order: id, key, amount });
      return answer;
    },

    adjust(delta: number, key: string): Promise<Answer> {
      const path = `/v1/drops/${drop}/items/${sku}/adjustments`;
      const body = { delta, reason: 'a test' };
      return call('POST', path, { token: engine.merchantKey, key, body });
    },

    /** What a buyer has in the wallet, and how often money moved out of it and back. */
    async wallet({ token }: Buyer): Promise<{ balance: number; moves: string[] }> {
      const { json } = await call('GET', '/v1/wallet', { token });
      const balances = json['balances'] as { currency: string; amount: number }[];
      const entries = json['entries'] as { kind: string }[];
      return {
        balance: balances.find(({ currency }) => currency === 'CNY')?.amount ?? 0,
        moves: entries.map(({ kind }) => kind).reverse(),
      };
    },
  };
}

/** The same numbers between 0 and 1 in each run: only who presses twice hangs on them. */
function sequence(): () => number {
  let state = 1;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
