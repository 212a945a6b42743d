-- What the buyer gave with the Buy, JSON: the drop's fields, and the client's metadata.
alter table orders add column details json;
