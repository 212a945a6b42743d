import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';
import type { Clock } from '../../src/domain/clock.ts';
import { newMerchantId } from '../../src/domain/ids.ts';
import type {
  Charge,
  Notification,
  Outcome,
  PaymentProvider,
  Refund,
  RefundOutcome,
} from '../../src/payments/provider.ts';
import { openStripe } from '../../src/payments/stripe/stripe.ts';
import { anOrderId, newReference } from '../support/ids.ts';
import type { SimulatedProvider } from '../support/simulators.ts';

/** Time that a test moves: the real one, shifted. */
export type MovedClock = Clock & { offsetMs: number };

export function movedClock(): MovedClock {
  return {
    offsetMs: 0,
    now() {
      return Date.now() + this.offsetMs;
    },
  };
}

/** The provider as the engine opens it, talking to a simulator. */
export function openAtSimulator(
  { settings }: SimulatedProvider,
  options: Partial<Parameters<typeof openStripe>[0]> = {},
): PaymentProvider {
  return openStripe({
    secretKey: settings['FLASHDROP_STRIPE_SECRET_KEY'] ?? '',
    webhookSecret: settings['FLASHDROP_STRIPE_WEBHOOK_SECRET'] ?? '',
    url: settings['FLASHDROP_STRIPE_URL'] ?? '',
    returnUrl: 'https://shop.example/back',
    ...options,
  });
}

export function newCharge(change: Partial<Charge> = {}): Charge {
  const startedAt = Date.now();
  return {
    reference: newReference(),
    startedAt,
    orderId: anOrderId('ord_abcdefghjkmn_0_AAAAAAAAAAAAAAAAAAAAAA'),
    buyer: 'buyer-1',
    merchantId: newMerchantId(),
    amount: 199_900,
    currency: 'CNY',
    title: 'Mi-2, 32 GB',
    expiresAt: startedAt + 15 * 60_000,
    wish: {},
    ...change,
  };
}

export function newRefund(payment: Charge, number: number, amount: number): Refund {
  return {
    refundReference: `${payment.reference}r${number}`,
    payment: { reference: payment.reference, startedAt: payment.startedAt },
    amount,
    captured: payment.amount,
    currency: payment.currency,
    reason: '',
    askedAt: Date.now(),
  };
}

/** One member of a batch. */
export async function only<T extends Outcome | RefundOutcome>(batch: Promise<T[]>): Promise<T> {
  const outcomes = await batch;
  if (outcomes.length !== 1) throw new Error(`${outcomes.length} outcomes for a batch of one`);
  return outcomes[0] as T;
}

export type Letterbox = {
  url: string;
  /** What came so far, as the provider read it, in the order of arrival. */
  read: Notification[];
};

/** Takes a provider's messages off the wire and reads them, as the engine's route does. */
export async function openLetterbox(provider: () => PaymentProvider): Promise<Letterbox> {
  const read: Notification[] = [];
  const server = createServer(async (request, response) => {
    const body = await bodyOf(request);
    const { readNotification, answerNotification } = provider();
    const headers = request.headers as Record<string, string>;
    const notification = await readNotification?.({ headers, body });
    if (!notification) throw new Error('the provider reads no notifications');
    read.push(notification);
    const verdict = notification.kind === 'refused' ? 'refused' : 'taken';
    const answer = answerNotification?.(verdict);
    response.writeHead(answer?.status ?? 500).end(answer?.body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, read };
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts);
}
