import { generateKeyPairSync } from 'node:crypto';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { askedAtCashier, cashierPage, refusalPage } from './alipay/cashier.ts';
import { type Merchant, messageOf } from './alipay/messages.ts';
import { isSignedBy, parametersOf, signed } from './alipay/signing.ts';
import { answerTo, type Node } from './alipay/trades.ts';
import type { Protocol, Simulator } from './protocol.ts';

// Alipay's gateway as https://opendocs.alipay.com has it: one address, a method among the
// parameters, RSA2 in both directions.

const cashierMethods = ['alipay.trade.page.pay', 'alipay.trade.wap.pay', 'alipay.trade.app.pay'];
const digits = '0123456789';

export function openAlipayProtocol(): Protocol {
  const merchant: Merchant = { appId: '2021000100000001', sellerId: '2088000000000001' };
  const keysOf = () => generateKeyPairSync('rsa', { modulusLength: 2048 });
  const [application, alipay, stranger] = [keysOf(), keysOf(), keysOf()];

  /** The refusal of a request that is not the application's; undefined when it is. */
  function refusalOf(parameters: Map<string, string>): Node | undefined {
    const invalid = (detail: string) => {
      return { code: '40002', msg: 'Invalid Arguments', sub_code: `isv.${detail}` };
    };
    if (parameters.get('app_id') !== merchant.appId) return invalid('invalid-app-id');
    if (parameters.get('sign_type') !== 'RSA2') return invalid('invalid-signature-type');
    if (parameters.get('charset')?.toLowerCase() !== 'utf-8') return invalid('invalid-charset');
    if (!isSignedBy(application.publicKey, parameters)) return invalid('invalid-signature');
    const time = parameters.get('timestamp') ?? '';
    return /^\d{4}(-\d\d){2} \d\d(:\d\d){2}$/.test(time) ? undefined : invalid('invalid-timestamp');
  }

  function api(simulator: Simulator, parameters: Map<string, string>, reply: FastifyReply) {
    const method = parameters.get('method') ?? '';
    const refusal = refusalOf(parameters);
    reply.type('text/html;charset=utf-8');
    // An unknown application gets an unsigned answer.
    if (refusal?.sub_code === 'isv.invalid-app-id') {
      return reply.send(JSON.stringify({ error_response: refusal }));
    }
    const node = JSON.stringify(
      refusal ?? answerTo(method, contentOf(parameters), simulator) ?? noSuchMethod,
    );
    // The signature covers exactly these characters.
    const name = `${method.replaceAll('.', '_')}_response`;
    return reply.send(`{"${name}":${node},"sign":"${signed(alipay.privateKey, node)}"}`);
  }

  /** The buyer's browser, or the Alipay app with an order string; opening it creates the trade. */
  function cashier(simulator: Simulator, parameters: Map<string, string>, reply: FastifyReply) {
    reply.type('text/html;charset=utf-8');
    const refusal = refusalOf(parameters);
    if (refusal) return reply.code(400).send(refusalPage(refusal.sub_code ?? ''));
    const asked = askedAtCashier(parameters, contentOf(parameters), simulator);
    if (typeof asked === 'string') return reply.code(400).send(refusalPage(asked));
    return reply.send(cashierPage(asked));
  }

  return {
    provider: 'alipay',
    settings: (url) => ({
      FLASHDROP_ALIPAY_APP_ID: merchant.appId,
      FLASHDROP_ALIPAY_SELLER_ID: merchant.sellerId,
      FLASHDROP_ALIPAY_PRIVATE_KEY: oneLine(
        application.privateKey.export({ type: 'pkcs8', format: 'pem' }),
      ),
      FLASHDROP_ALIPAY_PUBLIC_KEY: oneLine(
        alipay.publicKey.export({ type: 'spki', format: 'pem' }),
      ),
      FLASHDROP_ALIPAY_URL: `${url}/gateway.do`,
    }),
    routes(app: FastifyInstance, simulator) {
      const answer = (request: FastifyRequest, reply: FastifyReply) => {
        const parameters = parametersOf(request);
        const isCashier = cashierMethods.includes(parameters.get('method') ?? '');
        return (isCashier ? cashier : api)(simulator, parameters, reply);
      };
      // API clients POST; a GET opens the page.
      app.post('/gateway.do', answer);
      app.get('/gateway.do', { config: { page: true } }, answer);
    },
    callOf: (request) => ({ kind: parametersOf(request).get('method') ?? '' }),
    newId: (_of, simulator) => {
      const day = new Date(simulator.now()).toISOString().slice(0, 10).replaceAll('-', '');
      return simulator.id(`${day}2200`, 16, digits);
    },
    notification: (event, simulator, forge) =>
      messageOf(event, { merchant, now: simulator.now(), keys: { alipay, stranger } }, forge),
    isTaken: ({ status, body }) => status === 200 && body === 'success',
  };
}

const noSuchMethod: Node = {
  code: '40002',
  msg: 'Invalid Arguments',
  sub_code: 'isv.invalid-method',
};

function contentOf(parameters: Map<string, string>): Record<string, unknown> {
  try {
    return Object(JSON.parse(parameters.get('biz_content') ?? '{}'));
  } catch {
    return {};
  }
}

/** A value for an environment variable, without line breaks. */
function oneLine(pem: string | Buffer): string {
  return pem.toString().trim().replaceAll('\n', '\\n');
}
