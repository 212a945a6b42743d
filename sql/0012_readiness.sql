-- The row that /readyz writes, to learn whether the ledger takes writes.
create table readiness (
  id smallint primary key check (id = 1),
  checked_at bigint not null
);
