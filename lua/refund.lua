#!lua flags=allow-oom
-- Puts the units of paid orders back on sale once their money is returned: sold -> available.
-- KEYS: stock orders buyers holds outbox
-- ARGV: digest...
-- Replies: {'done', now, result...}, a result for each order, parts joined by '|':
--   refunded|record  already|record (it was refunded before)  refused|record (not paid)  unknown
-- Invariant: available + held + sold = allotment; a second refund moves nothing.
-- include: record
-- include: book
local keys = { stock = KEYS[1], orders = KEYS[2], buyers = KEYS[3], holds = KEYS[4], outbox = KEYS[5] }
local book = openBook(keys, ARGV, clock())

local reply = { 'done', string.format('%.0f', book.now) }
for i, digest in ipairs(ARGV) do
  local record, status = book.records[digest], 'unknown'
  if record then
    if record.state == 'p' then
      book.move(digest, record, 'f', 'sold', 'available')
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
book.write()
return reply
