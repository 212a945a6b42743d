-- What protects a payment password besides its tries: `locks` in a row make the next one longer, one
-- comparison runs at a time (until it ends, or `comparing_until`, ms), and a window has room for so many
-- comparisons, right ones too, because each costs a tenth of a second of a processor.
alter table wallet_passwords
  add column locks integer not null default 0 check (locks >= 0),
  add column comparing_until bigint,
  add column window_from bigint not null default 0,
  add column compared integer not null default 0 check (compared >= 0);

-- Orders of a drop with `password_above` that the engine was to charge by itself, and whether it may:
-- what leaves a wallet without the password in a day has a bound, too.
create table wallet_allowances (
  order_id text collate "C" primary key,
  buyer text collate "C" not null,
  currency text not null,
  amount bigint not null check (amount >= 0),
  allowed boolean not null,
  decided_at bigint not null
);
create index wallet_allowances_by_buyer on wallet_allowances (buyer, currency, decided_at)
  where allowed;
create index wallet_charges_by_order on wallet_charges (order_id);
