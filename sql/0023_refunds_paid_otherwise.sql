-- `dealt_with_at` says from now on that the buyer was paid a failed refund in another way, and counts as its
-- money. This column says that nobody pays it any more: it only ends the alarm; ms.
alter table refunds add column given_up_at bigint;

-- Adds up in these payments what their refunds have given back. One that is noted as paid in another way
-- counts whatever its provider says of it. A refund that was taken back leaves its payment captured. One that
-- the provider made without our asking may be the whole: then it was decided, too, and the order ends with it.
create function add_up_refunds(payments_of text[], now_ms bigint) returns void language sql as $$
  update payments p set amount_refunded = r.sum,
    state = case when r.is_all then 'refunded' when p.state = 'refunded' then 'captured'
      else p.state end,
    refunded_at = case when r.is_all then coalesce(p.refunded_at, now_ms) end,
    restock = case when r.is_all and p.refund_asked_at is null then not r.is_outside
      else p.restock end,
    refund_asked_at = case when r.is_all and p.drop_id <> '' then coalesce(p.refund_asked_at, now_ms)
      else p.refund_asked_at end
  from (select reference, sum, sum >= greatest(amount_captured, 1) as is_all, is_outside
    from payments, lateral (
      select coalesce(sum(amount) filter (where refunds.state = 'done' or dealt_with_at is not null),
          0)::bigint as sum,
        coalesce(bool_or(outside), false) as is_outside
      from refunds where payment = payments.reference) s
    where reference = any(payments_of)) r
  where p.reference = r.reference
$$;

-- Notes made before only ended an alarm. What the refunds of a payment may give back is what it captured: where
-- the notes are over that, they still only end the alarm.
update refunds r set given_up_at = dealt_with_at, dealt_with_at = null
where dealt_with_at is not null and (state <> 'failed'
  or (select sum(amount) from refunds one where one.payment = r.payment
      and (one.state <> 'failed' or one.dealt_with_at is not null))
    > (select amount_captured from payments p where p.reference = r.payment));
-- The others count. None of them ends an order, so the sum of a payment whose whole refund was decided stays
-- until that is asked for again.
update payments p set amount_refunded = s.sum
from (select payment, sum(amount) filter (where state = 'done' or dealt_with_at is not null)::bigint as sum
  from refunds where payment in (select payment from refunds where dealt_with_at is not null)
  group by payment) s
where p.reference = s.payment and (s.sum < p.amount_captured or p.refund_asked_at is null);

-- Operators write and take off notes with SQL, so the ledger itself checks them and adds them up.
create function paid_otherwise() returns trigger language plpgsql as $$
declare
  captured bigint;
  total bigint;
begin
  -- Results of refunds lock the payment, too: what they wrote before this is seen below.
  select amount_captured into captured from payments where reference = new.payment for update;
  if new.dealt_with_at is not null then
    if new.state <> 'failed' then
      raise exception 'refund % is %: only a refund that has failed can be noted as paid in another way',
        new.reference, new.state;
    end if;
    select sum(amount) into total from refunds
    where payment = new.payment and (state <> 'failed' or dealt_with_at is not null);
    if total > captured then
      raise exception 'refund % cannot be noted as paid in another way: with the others that are made, under way or noted, payment % would give back % of % captured. If the buyer did not get this amount, set given_up_at instead of dealt_with_at',
        new.reference, new.payment, total, captured;
    end if;
  end if;
  perform add_up_refunds(array[new.payment], (extract(epoch from now()) * 1000)::bigint);
  return null;
end
$$;
create trigger refunds_paid_otherwise after update of dealt_with_at on refunds for each row
  when ((new.dealt_with_at is null) <> (old.dealt_with_at is null))
  execute function paid_otherwise();
