-- How many top-ups a buyer has open is asked before another is begun.
create index topups_open on topups (buyer, created_at) where credited_at is null;
