#!lua flags=allow-oom
-- Sets how long after its end sweep leaves a hold alone: a grace while the order's payment is open at
-- a provider, so that it can be closed there first; 0 once none is open. The first grace means that the
-- buyer begins to pay: it extends the hold by what the order's record says. Instead of a grace, a word
-- tells whether the order counts against its buyer when it ends unpaid; it changes nothing else.
-- KEYS: stock orders buyers holds outbox lapses
-- ARGV: for each order: digest graceMs or word
--   word: `failed` when its payment could not be begun or closed by no fault of its buyer, so that the
--   order does not count, even if its hold has ended already; `payable` when the buyer can pay it now, so
--   that it does
-- Replies: {'done', now, result...}, a result for each order, parts joined by '|':
--   deferred|record  refused|record (it is no longer reserved)  unknown
-- Invariant: no figure changes; only reserved orders have a hold, and each is extended once.
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
local dues, extended = {}, {}
for i, digest in ipairs(digests) do
  local record, status = book.records[digest], 'unknown'
  local word = ARGV[i * 2]
  local graceMs = tonumber(word)
  if record then
    status = 'refused'
    if record.state == 'r' then
      status = 'deferred'
      if not graceMs then
        book.mark(digest, record, word == 'failed' and '~' or '')
      else
        if graceMs > 0 and extendHold(record) then extended[#extended + 1] = digest end
        dues[#dues + 1] = string.format('%.0f', record.expiresAt + graceMs)
        dues[#dues + 1] = digest
      end
    elseif record.state == 'x' and record.reason == 'expired' and word == 'failed' then
      book.excuse(digest, record)
    end
    status = status .. '|' .. packRecord(record)
  end
  reply[i + 2] = status
end
book.write()
if #dues > 0 then redis.call('ZADD', keys.holds, unpack(dues)) end
if #extended == 0 then return reply end
-- Packed at the end: one call may both extend and mark an order.
local fields = {}
for _, digest in ipairs(extended) do
  fields[#fields + 1], fields[#fields + 2] = digest, packRecord(book.records[digest])
end
redis.call('HSET', keys.orders, unpack(fields))
redis.call('XADD', keys.outbox, '*', 'at', book.now, unpack(fields))
return reply
