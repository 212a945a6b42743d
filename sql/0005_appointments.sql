-- The window in which appointments are made; both null when a drop needs none.
alter table drops add column appointment_from bigint;
alter table drops add column appointment_until bigint;
alter table drops add check ((appointment_from is null) = (appointment_until is null));
alter table drops add check (appointment_until > appointment_from);

-- Who has an appointment, and since when. The lanes keep fingerprints of the same buyers, and only
-- ever of buyers who stand here. No foreign key to drops: it would be looked up a million times over.
create table appointments (
  drop_id text collate "C" not null,
  buyer text collate "C" not null,
  made_at bigint not null,
  primary key (drop_id, buyer)
);
