-- A buyer's own orders, newest first, and a merchant's search for a buyer.
create index orders_of_buyer on orders (buyer, reserved_at, id);
-- A merchant's search by what the buyer's client noted; few drops have any.
create index orders_with_details on orders (drop_id) where details is not null;
-- What a store has on sale.
create index drops_on_sale on drops (merchant_id, ends_at) where decision = 'live';
