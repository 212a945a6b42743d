-- One attempt to be paid for an order. `reference` is what the provider knows it by. No index
-- names what an outcome changes, and pages have room, so that recording one rewrites no index.
create table payments (
  reference text collate "C" primary key,
  order_id text collate "C" not null,
  drop_id text collate "C" not null,
  attempt integer not null check (attempt > 0),
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
) with (fillfactor = 70);
create index payments_of_drop on payments (drop_id);
create index payments_refund_asked on payments (refund_asked_at, reference)
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
) with (fillfactor = 70);

-- Double entry by construction: money leaves one account and arrives in one other.
create table transfers (
  id bigint generated always as identity,
  kind text not null check (kind in ('capture', 'refund', 'topup')),
  reference text collate "C" not null,
  -- No foreign keys here or below: both accounts come from rows that the same transaction has
  -- locked, and looking them up again would cost a third of a charge.
  debit_account bigint not null,
  credit_account bigint not null,
  amount bigint not null check (amount > 0),
  created_at bigint not null,
  primary key (reference, kind),
  check (debit_account <> credit_account)
);
create index transfers_by_debit on transfers (debit_account, id);
create index transfers_by_credit on transfers (credit_account, id);

-- The wallet provider's own book, which the audit compares with `payments`.
create table wallet_charges (
  reference text collate "C" primary key,
  order_id text collate "C" not null,
  buyer_account bigint,
  merchant_account bigint,
  amount bigint not null check (amount >= 0),
  state text not null check (state in ('captured', 'declined', 'closed', 'refunded')),
  reason text not null default '',
  created_at bigint not null,
  refunded_at bigint,
  check (state not in ('captured', 'refunded') or (buyer_account is not null and merchant_account is not null))
);
