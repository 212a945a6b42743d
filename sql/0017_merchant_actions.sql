-- Who refunded an order or changed a stock: the id of the API key. One row for each Idempotency-Key, or for
-- the refund of all that is left of an order; a repeat adds none.
create table merchant_actions (
  drop_id text collate "C" not null,
  id text collate "C" not null,
  kind text not null check (kind in ('refund', 'adjustment')),
  -- The id of the key, without its secret: fdk_<id>.
  actor text not null,
  -- The order that was refunded, or the sku whose stock was changed.
  subject text not null,
  -- Minor units of a refund, null for all that was left; units of an adjustment.
  amount bigint,
  reason text not null,
  at bigint not null,
  primary key (drop_id, id)
);
create index merchant_actions_by_time on merchant_actions (drop_id, at);
