-- One attempt to be paid for an order. `reference` is what the provider knows it by.
create table payments (
  id text primary key,
  order_id text not null,
  drop_id text not null,
  attempt integer not null check (attempt > 0),
  reference text not null unique,
  provider text not null,
  amount bigint not null check (amount >= 0),
  currency text not null,
  state text not null check (state in ('started', 'unknown', 'declined', 'captured', 'refunded')),
  reason text not null default '',
  amount_captured bigint not null default 0 check (amount_captured >= 0),
  amount_refunded bigint not null default 0 check (amount_refunded >= 0),
  started_at bigint not null,
  captured_at bigint,
  declined_at bigint,
  refunded_at bigint,
  -- Written before the provider is asked to give the money back, and once the units are back too:
  -- what lies between the two is driven on, whoever began it.
  refund_asked_at bigint,
  refund_finished_at bigint,
  unique (order_id, attempt)
);
create index payments_of_drop on payments (drop_id, state);
create index payments_open on payments (started_at, id) where state in ('started', 'unknown');
create index payments_captured on payments (captured_at, id) where state = 'captured';
create index payments_refund_asked on payments (refund_asked_at, id)
  where refund_asked_at is not null and refund_finished_at is null;

-- balance = what was credited less what was debited, so all balances together are zero.
create table accounts (
  id bigint generated always as identity primary key,
  kind text not null check (kind in ('buyer', 'merchant', 'funding')),
  owner text not null,
  currency text not null,
  balance bigint not null default 0,
  created_at bigint not null,
  unique (kind, owner, currency),
  constraint accounts_no_overdraft check (kind <> 'buyer' or balance >= 0)
);

-- Double entry by construction: money leaves one account and arrives in one other.
create table transfers (
  id bigint generated always as identity primary key,
  kind text not null check (kind in ('capture', 'refund', 'topup')),
  reference text not null,
  debit_account bigint not null references accounts,
  credit_account bigint not null references accounts,
  amount bigint not null check (amount > 0),
  created_at bigint not null,
  unique (kind, reference),
  check (debit_account <> credit_account)
);
create index transfers_by_debit on transfers (debit_account, id);
create index transfers_by_credit on transfers (credit_account, id);

-- The wallet provider's own book, which the audit compares with `payments`.
create table wallet_charges (
  reference text primary key,
  order_id text not null,
  buyer_account bigint references accounts,
  merchant_account bigint references accounts,
  amount bigint not null check (amount >= 0),
  state text not null check (state in ('captured', 'declined', 'closed', 'refunded')),
  reason text not null default '',
  created_at bigint not null,
  refunded_at bigint,
  check (state not in ('captured', 'refunded') or (buyer_account is not null and merchant_account is not null))
);
