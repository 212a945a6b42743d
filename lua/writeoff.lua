#!lua flags=allow-oom
-- Ends paid orders whose money is returned without putting their units on sale again: they leave the
-- allotment. sold -> nothing.
-- KEYS: stock orders buyers holds outbox
-- ARGV: digest...
-- Replies: {'done', now, result...}, a result for each order, parts joined by '|':
--   refunded|record  already|record (it was refunded before)  refused|record (not paid)  unknown
-- Invariant: available + held + sold = allotment; an order's units leave the allotment once.
-- include: record
-- include: book
local keys = { stock = KEYS[1], orders = KEYS[2], buyers = KEYS[3], holds = KEYS[4], outbox = KEYS[5] }
local book = openBook(keys, ARGV, clock())

local reply = { 'done', string.format('%.0f', book.now) }
local edits = {}
for i, digest in ipairs(ARGV) do
  local record, status = book.records[digest], 'unknown'
  if record then
    if record.state == 'p' then
      -- To available, and from there out of the allotment, in one write.
      book.move(digest, record, 'f', 'sold', 'available')
      local figures = book.figures(record.item)
      local allotment = figures.allotment or redis.call('HGET', keys.stock, 'allotment:' .. record.item)
      figures.allotment = allotment - record.quantity
      figures.available = figures.available - record.quantity
      edits[#edits + 1] = 'adjust:refund_' .. digest
      edits[#edits + 1] = record.item .. '|-' .. record.quantity .. '|refunded, not restocked'
      status = 'refunded'
    elseif record.state == 'f' then
      status = 'already'
    else
      status = 'refused'
    end
    status = status .. '|' .. packRecord(record)
  end
  reply[i + 2] = status
end
book.write(edits)
return reply
