import { type Form, innerOf, neededText, refuseUnknown, textOf, textsOf, wholeOf } from './form.ts';
import { invalid } from './refusals.ts';

/** A validated request for a Checkout Session. */
export type SessionRequest = {
  mode: 'payment' | 'setup';
  clientReferenceId: string | null;
  amount: number;
  currency: string | null;
  title: string;
  expiresAt: number;
  successUrl: string;
  cancelUrl: string | null;
  metadata: Record<string, string>;
  intentMetadata: Record<string, string>;
};

/** The parameters that this simulator supports. */
const known = [
  ...['mode', 'client_reference_id', 'metadata', 'payment_intent_data', 'line_items'],
  ...['expires_at', 'success_url', 'cancel_url', 'allowed_payment_method_types', 'currency'],
  ...['excluded_payment_method_types', 'adaptive_pricing', 'expand', 'locale', 'submit_type'],
];

const lifeMin = 30 * 60;
const lifeMax = 24 * 60 * 60;
/** Eight digits, and twelve in rupiah. */
const amountMax = 99_999_999;
const amountsMax: Record<string, number> = { idr: 999_999_999_999 };

/** https://docs.stripe.com/currencies, "Minimum and maximum charge amounts": those it names. */
const amountsMin: Record<string, number> = {
  usd: 50,
  aed: 200,
  aud: 50,
  bgn: 100,
  brl: 50,
  cad: 50,
  chf: 50,
  czk: 1500,
  dkk: 250,
  eur: 50,
  gbp: 30,
  hkd: 400,
  huf: 17_500,
  inr: 50,
  jpy: 50,
  mxn: 1000,
  myr: 200,
  nok: 300,
  nzd: 50,
  pln: 200,
  ron: 200,
  sek: 300,
  sgd: 50,
  thb: 1000,
};

export function readSessionRequest(form: Form, now: number): SessionRequest {
  refuseUnknown(form, known);
  const mode = neededText(form, 'mode');
  if (mode !== 'payment' && mode !== 'setup') {
    throw invalid(`Invalid mode: must be one of payment, setup, or subscription`, {
      param: 'mode',
    });
  }
  const metadata = textsOf(form, 'metadata');
  return {
    mode,
    clientReferenceId: readClientReference(form),
    ...(mode === 'payment' ? readItems(form) : readSetup(form)),
    expiresAt: readEnd(form, now),
    successUrl: readUrl(form, 'success_url') ?? neededText(form, 'success_url'),
    cancelUrl: readUrl(form, 'cancel_url') ?? null,
    metadata,
    intentMetadata: textsOf(innerOf(form, 'payment_intent_data'), 'metadata'),
  };
}

function readClientReference(form: Form): string | null {
  const reference = textOf(form, 'client_reference_id') ?? null;
  if (reference !== null && reference.length > 200) {
    throw invalid('Invalid string: must be at most 200 characters', {
      param: 'client_reference_id',
    });
  }
  return reference;
}

function readItems(form: Form) {
  const items = Object.values(innerOf(form, 'line_items'));
  if (items.length === 0) neededText(form, 'line_items');
  let amount = 0;
  let [currency, title] = ['', ''];
  for (const [at, item] of items.entries()) {
    const param = `line_items[${at}]`;
    if (typeof item === 'string') throw invalid('Invalid object', { param });
    const price = innerOf(item, 'price_data');
    const quantity = wholeOf(item, 'quantity') ?? 1;
    neededText(price, 'unit_amount', `${param}[price_data][unit_amount]`);
    amount += quantity * (wholeOf(price, 'unit_amount') ?? 0);
    currency = readCurrency(neededText(price, 'currency', `${param}[price_data][currency]`));
    const name = `${param}[price_data][product_data][name]`;
    title ||= neededText(innerOf(price, 'product_data'), 'name', name);
  }
  refuseAmount(amount, currency);
  return { amount, currency, title };
}

function readSetup(form: Form) {
  const currency = textOf(form, 'currency');
  if (currency === undefined && form['allowed_payment_method_types'] === undefined) {
    neededText(form, 'currency');
  }
  return { amount: 0, currency: currency ? readCurrency(currency) : null, title: '' };
}

/** An amount of 0 is allowed; one below Stripe's minimum is not. */
function refuseAmount(amount: number, currency: string): void {
  const least = amountsMin[currency] ?? 0;
  if (amount > 0 && amount < least) {
    const message = `The Checkout Session's total amount due must add up to at least ${least} ${currency}`;
    throw invalid(message, { code: 'amount_too_small' });
  }
  const most = amountsMax[currency] ?? amountMax;
  if (amount > most) {
    const message = `The Checkout Session's total amount must be no more than ${most} ${currency}`;
    throw invalid(message, { code: 'amount_too_large' });
  }
}

function readCurrency(text: string): string {
  if (/^[a-z]{3}$/.test(text)) return text;
  throw invalid(`Invalid currency: ${text}`, { param: 'currency' });
}

function readEnd(form: Form, now: number): number {
  const end = wholeOf(form, 'expires_at') ?? Math.floor(now / 1000) + lifeMax;
  const life = end - Math.floor(now / 1000);
  const words = 'The `expires_at` timestamp must be';
  if (life < lifeMin) {
    throw invalid(`${words} at least 30 minutes from Checkout Session creation.`, {
      param: 'expires_at',
    });
  }
  if (life > lifeMax) {
    throw invalid(`${words} less than 24 hours from Checkout Session creation.`, {
      param: 'expires_at',
    });
  }
  return end;
}

function readUrl(form: Form, name: string): string | undefined {
  const url = textOf(form, name);
  if (url === undefined || /^https?:$/.test(URL.parse(url)?.protocol ?? '')) return url;
  throw invalid('Not a valid URL', { code: 'url_invalid', param: name });
}
