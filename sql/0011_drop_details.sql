-- What a merchant tells of a drop and of its items, JSON: description, image, link, metadata; of the drop also
-- the methods of payment. Nothing is looked up by it.
alter table drops add column details json not null default '{}';
alter table drop_items add column details json not null default '{}';
