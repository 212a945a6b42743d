#!lua flags=allow-oom
-- Releases reserved orders, each for a reason: held -> available.
-- KEYS: stock orders buyers holds outbox lapses
-- ARGV: for each order: digest reason
-- Replies: {'done', now, result...}, a result for each order, parts joined by '|':
--   released|record  already|record (it was released before)  refused|record (it is paid)  unknown
-- Invariant: available + held + sold = allotment; a second release moves nothing.
-- include: record
-- include: book
local keys = {
  stock = KEYS[1], orders = KEYS[2], buyers = KEYS[3],
  holds = KEYS[4], outbox = KEYS[5], lapses = KEYS[6],
}
local digests = {}
for i = 1, #ARGV, 2 do digests[#digests + 1] = ARGV[i] end
local book = openBook(keys, digests, clock())

local reply = { 'done', string.format('%.0f', book.now) }
for i, digest in ipairs(digests) do
  local record, status = book.records[digest], 'unknown'
  if record then
    if record.state == 'r' then
      record.reason = ARGV[i * 2]
      book.move(digest, record, 'x', 'held', 'available')
      status = 'released'
    elseif record.state == 'x' then
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
