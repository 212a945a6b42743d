-- Adds up in these payments what their refunds have given back. A refund that failed counts once it is noted
-- as settled in another way. A refund that was taken back leaves its payment captured. One that the provider
-- made without our asking may be the whole: then it was decided, too, and the order ends with it.
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
      select coalesce(sum(amount) filter (where refunds.state = 'done'
          or refunds.state = 'failed' and dealt_with_at is not null), 0)::bigint as sum,
        coalesce(bool_or(outside), false) as is_outside
      from refunds where payment = payments.reference) s
    where reference = any(payments_of)) r
  where p.reference = r.reference
$$;

-- Operators note it with SQL, so the ledger itself adds it up.
create function add_up_dealt_with() returns trigger language plpgsql as $$
begin
  perform add_up_refunds(array[new.payment], (extract(epoch from now()) * 1000)::bigint);
  return null;
end
$$;
create trigger refunds_dealt_with after update of dealt_with_at on refunds for each row
  when (new.state = 'failed' and old.state = 'failed'
    and (new.dealt_with_at is null) <> (old.dealt_with_at is null))
  execute function add_up_dealt_with();

select add_up_refunds(array(select distinct payment from refunds
  where state = 'failed' and dealt_with_at is not null), (extract(epoch from now()) * 1000)::bigint);
