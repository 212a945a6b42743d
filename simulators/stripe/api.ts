import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Stripe } from 'stripe';
import type { Simulator } from '../protocol.ts';
import type { SessionRecord, StripeAccount } from './account.ts';
import {
  canonical,
  type Form,
  innerOf,
  neededText,
  readForm,
  refuseUnknown,
  textOf,
  textsOf,
  wholeOf,
} from './form.ts';
import { openIdempotency } from './idempotency.ts';
import { pageOf } from './lists.ts';
import { chargeObject, intentObject, refundObject, sessionObject } from './objects.ts';
import { invalid, missing, StripeRefusal, unauthorized } from './refusals.ts';
import { readSessionRequest } from './session-request.ts';

type Call = (form: Form, id: string) => unknown;

const listed = ['created', 'limit', 'starting_after', 'expand'];

/** The part of Stripe's API, version 1, that a shop with Checkout needs. */
export function addApi(
  app: FastifyInstance,
  options: { account: StripeAccount; simulator: Simulator; secretKey: string },
): void {
  const { account, simulator, secretKey } = options;
  const idempotency = openIdempotency();

  const gets: Record<string, Call> = {
    '/v1/checkout/sessions': (form) => {
      refuseUnknown(form, [...listed, 'status', 'payment_intent']);
      const status = textOf(form, 'status');
      const sessions = account.sessions().map((record) => show(record));
      const wanted = sessions.filter((one) => status === undefined || one.status === status);
      return pageOf(wanted, form, '/v1/checkout/sessions');
    },
    '/v1/checkout/sessions/:id': (form, id) => show(account.session(id), form),
    '/v1/payment_intents/:id': (form, id) => showIntent(account.paidBy(id), expansions(form, '')),
    '/v1/charges': (form) => {
      refuseUnknown(form, [...listed, 'payment_intent']);
      const intent = textOf(form, 'payment_intent');
      const charges = account.sessions().flatMap((record) => {
        const charge = account.chargeOf(record);
        const isPaid = charge?.state === 'captured' && charge.amount > 0;
        return isPaid ? [chargeObject(record, charge)] : [];
      });
      const wanted = charges.filter((one) => (intent ?? one.payment_intent) === one.payment_intent);
      return pageOf(wanted, form, '/v1/charges');
    },
    '/v1/refunds': (form) => {
      refuseUnknown(form, [...listed, 'payment_intent', 'charge']);
      const intent = textOf(form, 'payment_intent');
      if (intent !== undefined) account.paidBy(intent);
      const refunds = account.refunds().map(refundObject);
      const wanted = refunds.filter((one) => (intent ?? one.payment_intent) === one.payment_intent);
      return pageOf(wanted, form, '/v1/refunds');
    },
    '/v1/refunds/:id': (_form, id) => {
      const refund = account.refunds().find((one) => one.providerReference === id);
      if (!refund) throw missing('refund', id);
      return refundObject(refund);
    },
  };

  const posts: Record<string, Call> = {
    '/v1/checkout/sessions': (form) =>
      show(account.open(readSessionRequest(form, simulator.now())), form),
    '/v1/checkout/sessions/:id/expire': (form, id) => {
      const record = account.session(id);
      account.expire(record);
      return show(record, form);
    },
    '/v1/refunds': (form) => {
      refuseUnknown(form, ['payment_intent', 'amount', 'metadata', 'reason', 'expand']);
      const record = account.paidBy(neededText(form, 'payment_intent'));
      const amount = wholeOf(form, 'amount');
      if (amount === 0) throw invalid('Invalid positive integer', { param: 'amount' });
      return refundObject(account.refund(record, { amount, metadata: textsOf(form, 'metadata') }));
    },
    '/v1/webhook_endpoints': (form) => {
      const url = neededText(form, 'url');
      account.tellAt(url);
      return { id: 'we_simulated', object: 'webhook_endpoint', url, status: 'enabled' };
    },
  };

  function show(record: SessionRecord, form: Form = {}): Stripe.Checkout.Session {
    const charge = account.chargeOf(record);
    const now = { status: account.statusOf(record), page: account.pageOf(record) };
    const session = sessionObject(record, charge, now);
    const wanted = expansions(form, 'payment_intent');
    if (wanted && typeof session.payment_intent === 'string') {
      session.payment_intent = showIntent(record, wanted);
    }
    return session;
  }

  function showIntent(record: SessionRecord, wanted: readonly string[] | undefined) {
    const charge = account.chargeOf(record);
    if (!charge) throw new Error('bug: a session that was paid has no charge');
    const intent = intentObject(record, charge);
    if (wanted?.includes('latest_charge') && intent.latest_charge !== null) {
      intent.latest_charge = chargeObject(record, charge);
    }
    return intent;
  }

  function serve(call: Call) {
    return (request: FastifyRequest, reply: FastifyReply) => {
      try {
        authenticate(request, secretKey);
        const { status, body } = answer(request, call);
        return reply.code(status).send(body);
      } catch (error) {
        if (!(error instanceof StripeRefusal)) throw error;
        return reply.code(error.status).send(error.body);
      }
    };
  }

  function answer(request: FastifyRequest, call: Call) {
    const [path = '', query = ''] = request.url.split('?');
    const { id = '' } = request.params as { id?: string };
    const isPost = request.method === 'POST';
    const form = readForm(isPost ? (request.body as Buffer).toString('utf8') : query);
    const key = request.headers['idempotency-key'];
    if (!isPost || typeof key !== 'string') return { status: 200, body: call(form, id) };
    return idempotency.once({ key, path, parameters: canonical(form) }, () => call(form, id));
  }

  const keyOf = ({ headers, method }: FastifyRequest) => {
    const key = headers['idempotency-key'];
    return method === 'POST' && typeof key === 'string' ? key : undefined;
  };
  const repeats = new WeakSet<FastifyRequest>();
  app.addHook('onRequest', async (request) => {
    const key = keyOf(request);
    if (key !== undefined && idempotency.isKept(key)) repeats.add(request);
  });
  // Also for the failures that the fault settings store under a key.
  app.addHook('onSend', async (request, reply, payload) => {
    reply.header('request-id', simulator.id('req_', 14));
    if (repeats.has(request)) reply.header('idempotent-replayed', 'true');
    return payload;
  });

  for (const [path, call] of Object.entries(gets)) app.get(path, serve(call));
  for (const [path, call] of Object.entries(posts)) app.post(path, serve(call));
}

function authenticate({ headers }: FastifyRequest, secretKey: string): void {
  const { authorization } = headers;
  if (authorization === undefined) {
    throw unauthorized('You did not provide an API key.');
  }
  if (authorization !== `Bearer ${secretKey}`) throw unauthorized('Invalid API Key provided');
}

/** What `expand` asks for below `field`; undefined when the field itself is not expanded. */
function expansions(form: Form, field: string): string[] | undefined {
  const asked = Object.values(innerOf(form, 'expand')).map(String);
  if (field === '') return asked;
  const within = asked.filter((path) => path === field || path.startsWith(`${field}.`));
  if (within.length < asked.length) {
    throw invalid('This property cannot be expanded', { param: 'expand' });
  }
  return within.length === 0 ? undefined : within.map((path) => path.slice(field.length + 1));
}
