import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';
import { readPayments } from '../../src/config/payments.ts';
import { settingsReader } from '../../src/config/settings.ts';
import { newMerchantId } from '../../src/domain/ids.ts';
import type { Charge, Notification, RawNotification, Refund } from '../../src/payments/provider.ts';
import { openWechatPay, type WechatPayOptions } from '../../src/payments/wechat-pay/wechat-pay.ts';
import { anOrderId, aReference } from '../support/ids.ts';
import type { SimulatedProvider } from '../support/simulators.ts';

/** The provider as the engine opens it from the simulator's settings. */
export function openFrom(simulator: SimulatedProvider, options: Partial<WechatPayOptions> = {}) {
  const settings = settingsReader({
    ...simulator.settings,
    FLASHDROP_PUBLIC_URL: 'https://shop.example',
  });
  const { wechatPay } = readPayments(settings);
  if (!wechatPay) throw new Error(settings.problems.join('\n'));
  const notifyUrl = 'http://127.0.0.1:9/nobody-listens';
  return openWechatPay({ ...wechatPay, notifyUrl, timeoutMs: 2_000, ...options });
}

export type WechatPay = ReturnType<typeof openFrom>;

let charges = 0;
const run = Date.now().toString(16).padStart(12, '0');

/** A charge of 12.34 CNY that nobody else has. */
export function aCharge(change: Partial<Charge> = {}): Charge {
  charges += 1;
  const startedAt = Date.now();
  return {
    reference: aReference(
      `fd${run}${process.pid.toString(16).padStart(8, '0')}${String(charges).padStart(10, '0')}`,
    ),
    startedAt,
    orderId: anOrderId(`ord_k3v9q0xw2m1c_0_${'a'.repeat(22)}`),
    buyer: 'buyer-1',
    merchantId: newMerchantId(),
    amount: 1234,
    currency: 'CNY',
    title: '小米手机 2 📱',
    expiresAt: startedAt + 600_000,
    wish: {},
    ...change,
  };
}

/** The nth refund of a charge. */
export function aRefund(charge: Charge, nth: number, amount: number): Refund {
  return {
    refundReference: `${charge.reference}r${nth}`,
    payment: charge,
    amount,
    captured: charge.amount,
    currency: 'CNY',
    reason: '',
    askedAt: Date.now(),
  };
}

/** A place for messages, which reads and answers them as the engine's route does. */
export async function listenWith(read: () => WechatPay) {
  const heard: { raw: RawNotification; notification: Notification }[] = [];
  const url = await serve(async (request, body) => {
    const headers = request.headers as Record<string, string>;
    const raw = { headers, body };
    const notification = await read().readNotification?.(raw);
    if (!notification) throw new Error('bug: this provider reads no messages');
    heard.push({ raw, notification });
    const verdict = notification.kind === 'refused' ? 'refused' : 'taken';
    const answer = read().answerNotification?.(verdict);
    return { status: answer?.status ?? 500, body: Buffer.from(answer?.body ?? '') };
  });
  return { url: `${url}/notifications`, heard };
}

type Answered = { status: number; headers?: Record<string, string>; body: Buffer };

/** A real HTTP server for the length of a test. */
export async function serve(
  handler: (request: IncomingMessage, body: Buffer) => Promise<Answered>,
): Promise<string> {
  const server: Server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', async () => {
      const answered = await handler(request, Buffer.concat(chunks)).catch(() => undefined);
      const { status = 500, headers = {}, body = '' } = answered ?? {};
      response.writeHead(status, headers).end(status === 204 ? undefined : body);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Stands between the provider and the simulator, and changes the answers on their way. */
export async function between(
  simulator: SimulatedProvider,
  change: (answered: Answered & { headers: Record<string, string> }, path: string) => Answered,
): Promise<string> {
  return await serve(async (request, body) => {
    const path = request.url ?? '';
    const { method = 'GET' } = request;
    const response = await fetch(`${simulator.url}${path}`, {
      method,
      headers: {
        authorization: request.headers.authorization ?? '',
        'content-type': 'application/json',
      },
      ...(method === 'GET' ? {} : { body: new Uint8Array(body) }),
    });
    const told = [...response.headers].filter(([name]) => name.startsWith('wechatpay-'));
    const headers = Object.fromEntries(told);
    const bytes = Buffer.from(await response.arrayBuffer());
    return change({ status: response.status, headers, body: bytes }, path);
  });
}
