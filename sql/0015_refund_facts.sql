-- A refund that is done or failed may still change: when the provider is asked whether it has, ms; null
-- when it is not asked any more.
alter table refunds
  add column check_at bigint,
  -- Made by the provider without our asking.
  add column outside boolean not null default false;
create index refunds_to_check on refunds (check_at) where check_at is not null;

-- Whether the units of a whole refund go back on sale.
alter table payments add column restock boolean not null default true;

-- Payments that were told about lately are compared with their providers, however old they are.
create index notifications_by_time on notifications using brin (received_at) with (pages_per_range = 16);
