-- Payments that a buyer makes at another provider wait for the buyer, and are looked up meanwhile.
alter table payments
  -- What the provider calls the payment, once it has told.
  add column provider_reference text,
  -- What the buyer's client does to pay: JSON, as it was answered.
  add column action text,
  -- The end of the time to pay, ms: from then on the payment is closed.
  add column payable_until bigint,
  -- When the provider is asked next, ms; null when there is nothing left to hear.
  add column look_at bigint,
  add column looks integer not null default 0;
create index payments_to_look_at on payments (look_at) where look_at is not null;
-- An order is paid one way at a time.
create unique index payments_open on payments (order_id) where state in ('started', 'unknown');

-- Money on its way back, one row for each refund asked for; those of a payment never come to more
-- than was captured.
create table refunds (
  -- What the provider knows it by: the payment's reference, `r` and the number.
  reference text collate "C" primary key,
  payment text collate "C" not null,
  number integer not null check (number > 0),
  amount bigint not null check (amount > 0),
  reason text not null,
  -- The merchant's Idempotency-Key as a digest; null where the engine decided.
  key text,
  state text not null check (state in ('asked', 'pending', 'done', 'failed')),
  -- Why it failed, for people.
  note text not null default '',
  provider_reference text,
  asked_at bigint not null,
  done_at bigint,
  -- When the provider is asked again, ms, and how often it was: some take hours to say.
  try_at bigint not null default 0,
  tries integer not null default 0,
  unique (payment, number),
  unique (payment, key)
);
create index refunds_open on refunds (asked_at, reference) where state in ('asked', 'pending');
insert into refunds (reference, payment, number, amount, reason, state, asked_at, done_at)
  select reference || 'r1', reference, 1, amount_refunded, '', 'done',
    coalesce(refund_asked_at, refunded_at, started_at), coalesce(refunded_at, started_at)
  from payments where amount_refunded > 0;

alter table wallet_charges add column amount_refunded bigint not null default 0
  check (amount_refunded between 0 and amount);
update wallet_charges set amount_refunded = amount where state = 'refunded';

-- What providers told us, each message once. Nothing is done on the strength of it.
create table notifications (
  provider text collate "C" not null,
  id text collate "C" not null,
  payment text collate "C" not null,
  about text not null,
  sent_at bigint not null,
  received_at bigint not null,
  repeats integer not null default 0,
  primary key (provider, id)
);
create index notifications_of_payment on notifications (payment);

-- Money that buyers add to their wallets through another provider; its payment names it as the order.
create table topups (
  id text collate "C" primary key,
  buyer text not null,
  amount bigint not null check (amount > 0),
  currency text not null,
  created_at bigint not null,
  credited_at bigint
);
