-- Grows with each change of a drop, drafts included: what a merchant's If-Match compares with.
alter table drops add column revision integer not null default 1;

-- The edits of published drops. An edit is `pending` until the lanes have taken it, or refused it because the
-- drop was open or its stock adjusted; then the drop becomes again what it was before.
create table drop_edits (
  drop_id text not null references drops on delete cascade,
  -- The version that carried the edit to the lanes.
  version integer not null,
  -- The drop's definition before it, JSON.
  before json not null,
  state text not null check (state in ('pending', 'applied', 'open', 'adjusted')),
  edited_at bigint not null,
  primary key (drop_id, version)
);
create unique index drop_edits_pending on drop_edits (drop_id) where state = 'pending';

-- Drafts that their merchants deleted, so that a repeated request gets the same answer.
create table deleted_drafts (
  id text primary key,
  merchant_id text not null,
  deleted_at bigint not null
);
