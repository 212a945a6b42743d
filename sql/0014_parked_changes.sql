-- Changes of outbox entries that cannot be read or that the ledger refuses. They are tried again, ever
-- more seldom; `update parked_changes set retry_at = 0` has them tried at once.
create table parked_changes (
  drop_id text collate "C" not null,
  lane integer not null,
  -- The entry's id in the outbox of the lane, and the change's place in the entry.
  entry text not null,
  place integer not null,
  -- Redis' clock when it happened, ms.
  at bigint not null,
  -- JSON of the field and its value, so that text which SQL does not take can be kept.
  change text not null,
  error text not null,
  parked_at bigint not null,
  tries integer not null default 0,
  retry_at bigint not null,
  primary key (drop_id, lane, entry, place)
);
create index parked_changes_due on parked_changes (retry_at);
