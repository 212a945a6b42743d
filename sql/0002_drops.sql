create table drops (
  id text primary key,
  merchant_id text not null references merchants,
  title text not null,
  currency text not null check (length(currency) = 3),
  starts_at bigint not null,
  ends_at bigint not null check (ends_at > starts_at),
  hold_ms bigint not null check (hold_ms > 0),
  late_capture text not null check (late_capture in ('retake', 'refund')),
  lanes integer not null check (lanes between 1 and 64),
  decision text not null check (decision in ('draft', 'live', 'paused', 'ended', 'cancelled')),
  version integer not null check (version >= 0),
  -- The version that every lane has acknowledged; behind `version` until they have.
  lanes_version integer not null default 0 check (lanes_version between 0 and version),
  -- Set when nothing can come from the lanes any more, so that nobody watches them for ever.
  retired_at bigint,
  created_at bigint not null
);
create index drops_of_merchant on drops (merchant_id, created_at, id);
create index drops_unsynced on drops (id) where lanes_version < version;
create index drops_active on drops (id) where version > 0 and retired_at is null;

create table drop_items (
  drop_id text not null references drops on delete cascade,
  position integer not null check (position >= 0),
  sku text not null,
  title text not null,
  unit_amount bigint not null check (unit_amount >= 0),
  -- As created; the units on offer now are these plus the deltas of `adjustments`.
  allotment integer not null check (allotment between 1 and 10000000),
  per_buyer integer not null check (per_buyer >= 1),
  primary key (drop_id, position),
  unique (drop_id, sku)
);
