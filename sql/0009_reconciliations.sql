-- The books are compared by one worker at a time; what the last comparison found stands here.
create table reconciliations (
  only_row boolean primary key default true check (only_row),
  -- Who compares now, and until when they are believed to be alive; ms.
  held_by text,
  held_until bigint not null default 0,
  began_at bigint not null default 0,
  ended_at bigint,
  -- JSON.
  report text,
  -- Where the next comparison goes on when there is more than one takes on; JSON.
  places text
);
insert into reconciliations default values;

-- Rows come in the order of time, so these cost next to nothing to keep.
create index payments_by_start on payments using brin (started_at) with (pages_per_range = 16);
create index wallet_charges_by_time on wallet_charges using brin (created_at)
  with (pages_per_range = 16);
create index orders_by_time on orders using brin (reserved_at) with (pages_per_range = 16);

-- When somebody had dealt with a refund that failed, ms: until then it is an alarm.
alter table refunds add column dealt_with_at bigint;
create index refunds_failed on refunds (payment) where state = 'failed' and dealt_with_at is null;
