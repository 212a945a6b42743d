-- A merchant's takings stand in several rows, so that transactions at once need not wait for one:
-- the balance of an account is what its slots come to. A buyer's account has one.
alter table accounts
  add column slot smallint not null default 0 check (slot >= 0 and (kind = 'merchant' or slot = 0)),
  drop constraint accounts_kind_owner_currency_key,
  add constraint accounts_kind_owner_currency_slot_key unique (kind, owner, currency, slot);
