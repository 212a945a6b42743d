-- Copies of what the lanes decided. No foreign key to drops: a lane's word is recorded whatever
-- the ledger knows, and a difference is the audit's to report, not the relay's to choke on.
-- Ids compare as bytes, which is what JavaScript sorts by and the fastest to index.
create table orders (
  id text collate "C" primary key,
  drop_id text collate "C" not null,
  lane integer not null,
  buyer text not null,
  item integer not null check (item >= 0),
  quantity integer not null check (quantity > 0),
  amount bigint not null check (amount >= 0),
  method text not null,
  state text not null check (state in ('reserved', 'paid', 'released', 'refunded')),
  reason text not null,
  version integer not null check (version > 0),
  expires_at bigint not null,
  -- The earliest instant seen for each state, so that repeats and late arrivals change nothing.
  reserved_at bigint not null,
  paid_at bigint,
  released_at bigint,
  refunded_at bigint
) with (fillfactor = 80);
create index orders_of_drop on orders (drop_id, reserved_at, id);
create index orders_reserved on orders (reserved_at, id) where state = 'reserved';
-- Few: a sale that goes well releases hardly any.
create index orders_released on orders (released_at, id) where state = 'released';

-- One row per lane that took a part of the edit; the parts of one edit share its id.
create table adjustments (
  drop_id text not null,
  id text not null,
  lane integer not null,
  item integer not null check (item >= 0),
  delta integer not null,
  reason text not null,
  at bigint not null,
  primary key (drop_id, id, lane)
);

-- How far each lane's outbox has reached the ledger. A lane that is behind this has lost data.
create table outbox_positions (
  drop_id text not null,
  lane integer not null,
  last_ms bigint not null,
  last_seq bigint not null,
  primary key (drop_id, lane)
);
