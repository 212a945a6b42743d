-- The texts of an order's metadata, as one number each for an order of this drop and no other: a search
-- reads the orders that have the text, not all orders of the drop.
create or replace function metadata_keys(drop_id text, details json) returns bigint[]
  language sql immutable parallel safe as $$
  select array(select hashtextextended(drop_id || ' ' || value, 0)
    from json_each_text(details -> 'metadata'))
$$;
-- It may have been made before, without a lock: see Upgrading in docs/operations.md.
create index if not exists orders_by_metadata on orders using gin (metadata_keys(drop_id, details))
  where json_typeof(details -> 'metadata') = 'object';
-- It led a search to every order with details, each of which was unpacked.
drop index orders_with_details;
