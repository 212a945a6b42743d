-- When somebody last made a drop active, to write to its lanes: until they are done it is not retired.
alter table drops add column revived_at bigint;
