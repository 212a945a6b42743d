import { setTimeout as wait } from 'node:timers/promises';
import { type Book, count, see } from './book.ts';
import { openPage, type Page } from './page.ts';
import type { BuyerPlan, Method } from './plan.ts';
import { type Answer, type Call, untilTold } from './wire.ts';

export const sku = 'phone';

/** An order that its buyer is paying for. */
type Bought = { id: string; expiresAt: number; token: string; plan: BuyerPlan };

export type Shop = {
  call: Call;
  /** Ids of the two drops. */
  drops: [string, string];
  tokens: Map<string, string>;
  book: Book;
};

const pressMsMax = 90_000;
const watchMsMax = 25_000;
/** About how long before the end of the hold the time to pay ends, as a share (the engine decides). */
const closingShare = 0.2;

/** Carries out one buyer's plan; resolves with the order's id once it was seen paid. */
export async function live(shop: Shop, plan: BuyerPlan): Promise<string | undefined> {
  const order = await press(shop, plan);
  if (!order) return undefined;
  await wait(plan.method === 'wallet' ? 0 : plan.thinkMs / 4);
  await pay(shop, order);
  return await watch(shop, order);
}

/** Presses Buy until there is an order, or none can be had; a few press on to see the same answer. */
async function press(
  { call, drops, tokens, book }: Shop,
  plan: BuyerPlan,
): Promise<Bought | undefined> {
  const token = tokens.get(plan.name) ?? '';
  const path = `/v1/drops/${drops[plan.drop]}/orders`;
  const body = { sku, quantity: 1, payment: { method: plan.method } };
  const ask = () => call('POST', path, { token, key: `key-of-${plan.name}`, body });
  const until = Date.now() + pressMsMax;
  const answer = await untilTold(ask, {
    until,
    pauseMs: 500,
    isVague({ status, code }) {
      if (status === 0 || code === 'outcome_unknown') book.unsure.add(plan.name);
      return status === 0 || status >= 500 || status === 429 || code === 'all_held';
    },
  });
  if (answer.status !== 202) {
    count(book, `no order: ${answer.code || answer.status}`);
    return undefined;
  }
  const id = answer.json['id'] as string;
  book.acknowledged.set(id, { buyer: plan.name, drop: plan.drop });
  if (plan.number % 10 === 0) {
    const again = await untilTold(ask);
    if (again.text !== answer.text) {
      book.breaches.push(`${plan.name} got other bytes under the same key: ${again.text}`);
    }
  }
  return { id, expiresAt: Date.parse(answer.json['expiresAt'] as string), token, plan };
}

async function pay(shop: Shop, order: Bought): Promise<void> {
  const { plan, expiresAt } = order;
  if (plan.method === 'wallet') {
    if (plan.course === 'cancels') await cancel(shop, order);
    return;
  }
  if (plan.course === 'abandons' && plan.number % 2 === 0) return;
  const first = await begin(shop, order, plan.method);
  await wait(plan.thinkMs);
  switch (plan.course) {
    case 'pays':
      await first?.act('pay');
      return;
    case 'paysTwice':
      await Promise.all([first?.act('pay'), first?.act('pay')]);
      return;
    case 'declines':
      await first?.act('decline');
      return;
    case 'abandons':
      return;
    case 'cancels':
      return await cancel(shop, order);
    case 'cancelsAndPays':
      await cancel(shop, order);
      await first?.act('pay');
      return;
    case 'changes':
      await (await begin(shop, order, plan.second))?.act('pay');
      return;
    case 'paysBoth': {
      const second = await begin(shop, order, plan.second);
      await Promise.all([first?.act('pay'), second?.act('pay')]);
      return;
    }
    case 'paysLate':
      await reach(expiresAt + plan.lateMs);
      await first?.act('pay');
      return;
    case 'paysAtTheEnd': {
      const heldMs = expiresAt - Date.now();
      await reach(Date.now() + heldMs * (1 - closingShare) - 300 + plan.lateMs / 8);
      await first?.act('pay');
    }
  }
}

const reach = (at: number) => wait(Math.max(0, at - Date.now()));

/** Begins the payment and opens its page; repeats while the outcome is unknown. */
async function begin(
  { call, book }: Shop,
  { id, token, expiresAt }: Bought,
  method: Method,
): Promise<Page | undefined> {
  const ask = () => call('POST', `/v1/orders/${id}/payment`, { token, body: { method } });
  const answer = await untilTold(ask, { until: expiresAt });
  if (answer.status === 500)
    book.breaches.push(`${id}: a payment was answered with ${answer.text}`);
  if (answer.status !== 200) count(book, `no page of ${method}: ${answer.code || answer.status}`);
  return await openPage(answer);
}

async function cancel({ call, book }: Shop, { id, token }: Bought): Promise<void> {
  const answer = await untilTold(() =>
    call('POST', `/v1/orders/${id}/cancel`, { token, body: {} }),
  );
  if (answer.status === 200) see(book, id, answer.json['state'] as string);
  else count(book, `not cancelled: ${answer.code || answer.status}`);
}

/** Reads the order until it has ended or the time is over. */
async function watch({ call, book }: Shop, { id, token }: Bought): Promise<string | undefined> {
  const isOver = ({ status, json }: Answer) => {
    if (status === 200) see(book, id, json['state'] as string);
    return status === 200 && json['state'] !== 'reserved';
  };
  const answer = await untilTold(() => call('GET', `/v1/orders/${id}`, { token }), {
    until: Date.now() + watchMsMax,
    pauseMs: 1_000,
    isVague: (told) => !isOver(told),
  });
  return answer.json['state'] === 'paid' ? id : undefined;
}
