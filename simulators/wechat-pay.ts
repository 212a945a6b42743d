import { createHash, randomBytes } from 'node:crypto';
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Protocol, Simulator } from './protocol.ts';
import { billText } from './wechat-pay/bill.ts';
import { cashierPage } from './wechat-pay/cashier.ts';
import { newIdentity } from './wechat-pay/certificate.ts';
import { messageOf } from './wechat-pay/messages.ts';
import {
  type Fields,
  giveBack,
  orderAnswer,
  placeOrder,
  refundAnswer,
  wrong,
} from './wechat-pay/orders.ts';
import {
  type Agreement,
  ApiError,
  answer,
  beijingTime,
  seal,
  verifyRequest,
} from './wechat-pay/wire.ts';

const billsKept = 16;
const digits = '0123456789';

/** WeChat Pay's API v3 for one merchant, with keys and a certificate generated at start. */
export function openWechatPayProtocol(): Protocol {
  const agreement: Agreement = {
    appId: 'wxd678efh567hg6787',
    merchantId: '1230000109',
    merchant: newIdentity('Merchant'),
    platform: newIdentity('Simulated WeChat Pay'),
    apiKey: randomBytes(16).toString('hex'),
  };
  const stranger = newIdentity('Stranger');

  return {
    provider: 'wechat_pay',
    settings: (url) => ({
      FLASHDROP_WECHAT_PAY_URL: url,
      FLASHDROP_WECHAT_PAY_APP_ID: agreement.appId,
      FLASHDROP_WECHAT_PAY_MERCHANT_ID: agreement.merchantId,
      FLASHDROP_WECHAT_PAY_SERIAL: agreement.merchant.serial,
      FLASHDROP_WECHAT_PAY_PRIVATE_KEY: agreement.merchant.privateKey
        .export({ type: 'pkcs8', format: 'pem' })
        .toString(),
      FLASHDROP_WECHAT_PAY_API_KEY: agreement.apiKey,
    }),
    newId: (of, simulator) =>
      of === 'charge' ? simulator.id('4200', 24, digits) : simulator.id('5030', 25, digits),
    routes: (app, simulator) => addRoutes(app, simulator, agreement),
    notification: (event, _simulator, forge) => messageOf(event, agreement, { forge, stranger }),
    isTaken: ({ status }) => status === 200 || status === 204,
  };
}

type Handler = (request: FastifyRequest) => { status?: number; content?: object };

function addRoutes(app: FastifyInstance, simulator: Simulator, agreement: Agreement): void {
  const { book, remembered } = simulator;
  /** Orders by WeChat Pay's number, and by the numbers of their refunds. */
  const byTransaction = remembered<string>('transactions');
  const byRefund = remembered<string>('refunds');

  app.setErrorHandler((error: FastifyError | ApiError, _request, reply) => {
    const told = error instanceof ApiError ? error : unexpected(error);
    return refuse(reply, agreement, told);
  });

  /** An API call: the merchant signs the request, WeChat Pay the answer. */
  function serve(method: 'GET' | 'POST', url: string, handler: Handler): void {
    app.route({
      method,
      url,
      handler: (request, reply) => {
        verifyRequest(request, agreement);
        const { status = 200, content } = handler(request);
        return answer(reply, agreement, { status, content });
      },
    });
  }

  for (const scene of ['native', 'jsapi', 'h5']) {
    serve('POST', `/v3/pay/transactions/${scene}`, (request) => {
      const charge = placeOrder(simulator, agreement, { scene, body: bodyOf(request) });
      byTransaction.set(charge.providerReference, charge.reference);
      const cashier = `${simulator.url()}/cashier/${charge.extra['prepayId']}`;
      byTransaction.set(charge.extra['prepayId'] ?? '', charge.reference);
      if (scene === 'native') return { content: { code_url: cashier } };
      if (scene === 'h5') return { content: { h5_url: `${cashier}?package=1037687096` } };
      return { content: { prepay_id: charge.extra['prepayId'] } };
    });
  }

  serve('GET', '/v3/pay/transactions/out-trade-no/:reference', (request) => {
    const { mchid } = request.query as { mchid?: string };
    if (mchid !== agreement.merchantId) throw wrong('mchid', 'is not who signed');
    const charge = book.find((request.params as { reference: string }).reference);
    if (!charge) throw new ApiError(404, 'ORDER_NOT_EXIST', 'There is no such order.');
    return { content: orderAnswer(charge, agreement) };
  });

  serve('POST', '/v3/pay/transactions/out-trade-no/:reference/close', (request) => {
    if (bodyOf(request)['mchid'] !== agreement.merchantId)
      throw wrong('mchid', 'is not who signed');
    const closed = book.close((request.params as { reference: string }).reference, 'closed');
    if (closed === 'captured') throw new ApiError(400, 'ORDERPAID', 'The order is paid.');
    // Also for an order that does not exist, as WeChat Pay does.
    return { status: 204 };
  });

  serve('POST', '/v3/refund/domestic/refunds', (request) => {
    const body = bodyOf(request);
    const { transaction_id: transaction, out_trade_no: own } = body;
    const reference = transaction === undefined ? own : byTransaction.get(String(transaction));
    const { charge, refund, fresh } = giveBack(simulator, {
      body,
      reference: reference === undefined ? undefined : String(reference),
    });
    byRefund.set(refund.reference, charge.reference);
    return { content: refundAnswer(charge, refund, fresh) };
  });

  serve('GET', '/v3/refund/domestic/refunds/:number', (request) => {
    const { number } = request.params as { number: string };
    const charge = book.find(byRefund.get(number) ?? '');
    const refund = charge?.refunds.find(({ reference }) => reference === number);
    if (!charge || !refund) {
      throw new ApiError(404, 'RESOURCE_NOT_EXISTS', 'There is no such refund.');
    }
    return { content: refundAnswer(charge, refund, false) };
  });

  serve('GET', '/v3/certificates', () => ({ content: certificateList(agreement) }));
  addBills(app, serve, { simulator, agreement });

  app.get('/cashier/:prepayId', { config: { page: true } }, async (request, reply) => {
    const { prepayId } = request.params as { prepayId: string };
    const back = (request.query as { redirect_url?: string }).redirect_url;
    const isPage = ['http:', 'https:'].includes(URL.parse(back ?? '')?.protocol ?? '');
    const page = cashierPage(
      book.find(byTransaction.get(prepayId) ?? ''),
      isPage ? back : undefined,
    );
    return reply.type('text/html; charset=utf-8').send(page);
  });
}

/** A bill is requested for a day, then downloaded from a URL of its own without a signature. */
function addBills(
  app: FastifyInstance,
  serve: (method: 'GET', url: string, handler: Handler) => void,
  { simulator, agreement }: { simulator: Simulator; agreement: Agreement },
): void {
  const bills = new Map<string, string>();

  serve('GET', '/v3/bill/tradebill', (request) => {
    const { bill_date: date = '' } = request.query as { bill_date?: string };
    if (!/^\d{4}-\d\d-\d\d$/.test(date)) throw wrong('bill_date', 'must be such as 2025-12-31');
    const text = billText(simulator.book.all(), date, agreement);
    if (text === undefined)
      throw new ApiError(400, 'NO_STATEMENT_EXIST', 'Nothing moved that day.');
    const token = randomBytes(16).toString('hex');
    bills.set(token, text);
    const [oldest] = bills.keys();
    if (bills.size > billsKept && oldest) bills.delete(oldest);
    return {
      content: {
        hash_type: 'SHA1',
        hash_value: createHash('sha1').update(text).digest('hex'),
        download_url: `${simulator.url()}/v3/billdownload/file?token=${token}`,
      },
    };
  });

  app.get('/v3/billdownload/file', async (request, reply) => {
    verifyRequest(request, agreement);
    const text = bills.get((request.query as { token?: string }).token ?? '');
    if (text === undefined) throw wrong('token', 'is unknown or too old');
    return reply.type('text/plain; charset=utf-8').send(text);
  });
}

function certificateList({ platform, apiKey }: Agreement): object {
  const { serial, from, until, certificate } = platform;
  return {
    data: [
      {
        serial_no: serial,
        effective_time: beijingTime(from.getTime()),
        expire_time: beijingTime(until.getTime()),
        encrypt_certificate: seal(certificate, { apiKey, associatedData: 'certificate' }),
      },
    ],
  };
}

/** An unsigned request gets an unsigned answer. */
function refuse(reply: FastifyReply, agreement: Agreement, { status, code, message }: ApiError) {
  const content = { code, message };
  if (status !== 401) return answer(reply, agreement, { status, content });
  return reply.code(status).type('application/json').send(JSON.stringify(content));
}

function unexpected({ statusCode = 500, message }: FastifyError): ApiError {
  if (statusCode >= 500) return new ApiError(500, 'SYSTEM_ERROR', message);
  return new ApiError(statusCode, 'INVALID_REQUEST', message);
}

function bodyOf(request: FastifyRequest): Fields {
  try {
    const value: unknown = JSON.parse((request.body as Buffer).toString());
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      return value as Fields;
  } catch {
    // Answered below.
  }
  throw wrong('the body', 'must be a JSON object');
}
