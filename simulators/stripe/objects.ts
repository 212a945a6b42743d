import type { Stripe } from 'stripe';
import { refundedOf } from '../book.ts';
import type { BookedCharge } from '../protocol.ts';
import { type RefundRecord, type SessionRecord, seconds } from './account.ts';

// Stripe's objects, typed by Stripe's own library, whose types are generated from its OpenAPI
// document (v2596 for stripe 23.1.0): a missing field does not compile. Fields of features that are
// not simulated are null or empty, as Stripe sends them.

/** A session with the state of its charge; `charge` is undefined for one without a payment. */
export function sessionObject(
  record: SessionRecord,
  charge: BookedCharge | undefined,
  now: { status: Stripe.Checkout.Session.Status; page: string },
): Stripe.Checkout.Session {
  const isDue = record.mode === 'payment' && record.amount > 0;
  const paid = charge?.state === 'captured' ? 'paid' : 'unpaid';
  const hasIntent = isDue && now.status === 'complete';
  return {
    ...sessionDefaults,
    id: record.id,
    amount_subtotal: record.mode === 'payment' ? record.amount : null,
    amount_total: record.mode === 'payment' ? record.amount : null,
    cancel_url: record.cancelUrl,
    client_reference_id: record.clientReferenceId,
    created: record.created,
    currency: record.currency,
    expires_at: record.expiresAt,
    metadata: record.metadata,
    mode: record.mode,
    payment_intent: hasIntent ? record.intent : null,
    payment_status: isDue ? paid : 'no_payment_required',
    status: now.status,
    success_url: record.successUrl,
    url: now.status === 'open' ? now.page : null,
  };
}

const sessionDefaults = {
  object: 'checkout.session',
  adaptive_pricing: null,
  after_expiration: null,
  allow_promotion_codes: null,
  allowed_payment_method_types: null,
  automatic_tax: { enabled: false, liability: null, provider: null, status: null },
  billing_address_collection: null,
  client_secret: null,
  collected_information: null,
  consent: null,
  consent_collection: null,
  currency_conversion: null,
  custom_fields: [],
  custom_text: {
    after_submit: null,
    shipping_address: null,
    submit: null,
    terms_of_service_acceptance: null,
  },
  customer: null,
  customer_account: null,
  customer_creation: 'if_required',
  customer_details: null,
  customer_email: null,
  discounts: [],
  integration_identifier: null,
  invoice: null,
  invoice_creation: null,
  livemode: false,
  locale: null,
  managed_payments: null,
  origin_context: null,
  payment_link: null,
  payment_method_collection: 'if_required',
  payment_method_configuration_details: null,
  payment_method_options: {},
  payment_method_types: ['card'],
  permissions: null,
  recovered_from: null,
  saved_payment_method_options: null,
  setup_intent: null,
  shipping_address_collection: null,
  shipping_cost: null,
  shipping_options: [],
  submit_type: null,
  subscription: null,
  total_details: { amount_discount: 0, amount_shipping: 0, amount_tax: 0 },
  ui_mode: 'hosted_page',
  wallet_options: null,
} satisfies Partial<Stripe.Checkout.Session>;

export function intentObject(record: SessionRecord, charge: BookedCharge): Stripe.PaymentIntent {
  const isPaid = charge.state === 'captured';
  return {
    ...intentDefaults,
    id: record.intent,
    amount: record.amount,
    amount_received: isPaid ? record.amount : 0,
    created: record.created,
    currency: record.currency ?? '',
    latest_charge: isPaid ? record.charge : null,
    metadata: record.intentMetadata,
    status: isPaid ? 'succeeded' : 'requires_payment_method',
  };
}

const intentDefaults = {
  object: 'payment_intent',
  allowed_payment_method_types: null,
  amount_capturable: 0,
  application: null,
  application_fee_amount: null,
  automatic_payment_methods: null,
  canceled_at: null,
  cancellation_reason: null,
  capture_method: 'automatic_async',
  client_secret: null,
  confirmation_method: 'automatic',
  customer: null,
  customer_account: null,
  description: null,
  excluded_payment_method_types: null,
  last_payment_error: null,
  livemode: false,
  managed_payments: null,
  next_action: null,
  on_behalf_of: null,
  payment_method: null,
  payment_method_configuration_details: null,
  payment_method_options: {},
  payment_method_types: ['card'],
  payment_record: null,
  processing: null,
  receipt_email: null,
  review: null,
  setup_future_usage: null,
  shipping: null,
  source: null,
  statement_descriptor: null,
  statement_descriptor_suffix: null,
  transfer_group: null,
} satisfies Partial<Stripe.PaymentIntent>;

/** The charge of a paid session; Stripe copies the metadata of the intent. */
export function chargeObject(record: SessionRecord, charge: BookedCharge): Stripe.Charge {
  const refunded = refundedOf(charge);
  return {
    ...chargeDefaults,
    id: record.charge,
    amount: record.amount,
    amount_captured: record.amount,
    amount_refunded: refunded,
    created: seconds(charge.capturedAt ?? charge.createdAt),
    currency: record.currency ?? '',
    metadata: record.intentMetadata,
    payment_intent: record.intent,
    refunded: refunded === record.amount,
  };
}

const chargeDefaults = {
  object: 'charge',
  application: null,
  application_fee: null,
  application_fee_amount: null,
  balance_transaction: null,
  billing_details: { address: null, email: null, name: null, phone: null, tax_id: null },
  calculated_statement_descriptor: null,
  captured: true,
  customer: null,
  description: null,
  disputed: false,
  failure_balance_transaction: null,
  failure_code: null,
  failure_message: null,
  fraud_details: {},
  livemode: false,
  on_behalf_of: null,
  outcome: null,
  paid: true,
  payment_method: null,
  payment_method_details: null,
  receipt_email: null,
  receipt_number: null,
  receipt_url: null,
  review: null,
  shipping: null,
  source: null,
  source_transfer: null,
  statement_descriptor: null,
  statement_descriptor_suffix: null,
  status: 'succeeded',
  transfer_data: null,
  transfer_group: null,
} satisfies Partial<Stripe.Charge>;

export function refundObject(refund: RefundRecord): Stripe.Refund {
  return {
    id: refund.providerReference,
    object: 'refund',
    amount: refund.amount,
    balance_transaction: null,
    charge: refund.session.charge,
    created: seconds(refund.at),
    currency: refund.session.currency ?? '',
    customer: null,
    customer_account: null,
    metadata: refund.metadata,
    payment_intent: refund.session.intent,
    payment_method: null,
    reason: null,
    receipt_number: null,
    source_transfer_reversal: null,
    status: refund.failed ? 'failed' : 'succeeded',
    transfer_reversal: null,
    ...(refund.failed ? { failure_reason: 'expired_or_canceled_card' } : {}),
  };
}
