import type { Protocol, Simulator } from './protocol.ts';
import { openAccount, type StripeAccount } from './stripe/account.ts';
import { addApi } from './stripe/api.ts';
import { eventMessage } from './stripe/events.ts';
import { checkoutPage } from './stripe/page.ts';
import { StripeRefusal } from './stripe/refusals.ts';

/** One account in test mode; only its own key is accepted. */
const secretKey = 'sk_test_simulated0account0of0flashdrop';
const webhookSecret = 'whsec_simulated0endpoint0of0flashdrop';

/**
 * Stripe as its public documentation describes it: Checkout Sessions, payment intents, charges, refunds and
 * events of API version 2026-10-28.endive, with the idempotency of version 1.
 */
export function openStripeProtocol(): Protocol {
  let account: StripeAccount | undefined;
  /** Created at first use, since it needs the simulator. */
  const accountOf = (simulator: Simulator) => (account ??= openAccount(simulator));

  return {
    provider: 'stripe',
    settings: (url) => ({
      FLASHDROP_STRIPE_SECRET_KEY: secretKey,
      FLASHDROP_STRIPE_WEBHOOK_SECRET: webhookSecret,
      FLASHDROP_STRIPE_URL: url,
    }),
    newId: (of, simulator) => simulator.id(of === 'charge' ? 'cs_test_' : 're_', 24),
    routes(app, simulator) {
      const opened = accountOf(simulator);
      addApi(app, { account: opened, simulator, secretKey });
      app.get('/c/pay/:id', { config: { page: true } }, async (request, reply) => {
        const { id } = request.params as { id: string };
        reply.type('text/html; charset=utf-8');
        try {
          const record = opened.session(id);
          return checkoutPage(record, opened.statusOf(record));
        } catch (error) {
          if (!(error instanceof StripeRefusal)) throw error;
          return reply.code(404).send('<!doctype html><p>There is no such session.</p>');
        }
      });
    },
    notification(event, simulator, forge) {
      const now = simulator.now();
      return eventMessage(
        event,
        { account: accountOf(simulator), secret: webhookSecret, now },
        forge,
      );
    },
    isTaken: ({ status }) => status >= 200 && status < 300,
  };
}
