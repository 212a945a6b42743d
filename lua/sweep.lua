#!lua flags=allow-oom
-- Releases holds that are due, or all holds of a cancelled drop: held -> available.
-- KEYS: rules stock orders buyers holds outbox lapses
-- ARGV: limit (the most orders to release in this call) away ('1' while buyers cannot pay, because the
--   ledger does not answer)
-- Replies: {'done', now, released, dueAt}: dueAt is the earliest hold left, '' when there is none.
-- Invariant: available + held + sold = allotment; no hold outlives its place in `holds` by more than a sweep.
-- include: record
-- include: book
local keys = {
  stock = KEYS[2], orders = KEYS[3], buyers = KEYS[4],
  holds = KEYS[5], outbox = KEYS[6], lapses = KEYS[7],
}
local cancelled = redis.call('HGET', KEYS[1], 'phase') == 'cancelled'
local now = clock()
local upTo = cancelled and '+inf' or now
local digests = redis.call('ZRANGEBYSCORE', keys.holds, '-inf', upTo, 'LIMIT', 0, ARGV[1])
local book = openBook(keys, digests, now)

-- A hold without an order holds no units. It is removed, so that it does not block the others.
local strays = {}
for _, digest in ipairs(digests) do
  local record = book.records[digest]
  if record then
    record.reason = cancelled and 'drop_cancelled' or 'expired'
    if ARGV[2] == '1' then record.excused = '~' end
    book.move(digest, record, 'x', 'held', 'available')
  else
    strays[#strays + 1] = digest
  end
end
book.write()
if #strays > 0 then redis.call('ZREM', keys.holds, unpack(strays)) end
local dueAt = redis.call('ZRANGE', keys.holds, 0, 0, 'WITHSCORES')[2] or ''
return { 'done', string.format('%.0f', now), #digests, dueAt }
