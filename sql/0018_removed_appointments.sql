-- When a merchant removed an appointment; null while it stands. The row stays: an order that was made with it
-- keeps its proof, and the same buyer may be given an appointment again.
alter table appointments add column removed_at bigint;
