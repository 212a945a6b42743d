#!lua flags=allow-oom
-- Confirms captured orders: held -> sold. A capture whose hold has expired takes the units again when
-- the drop's rules, its stock and the buyer's limit allow it: available -> sold.
-- KEYS: rules stock orders buyers holds outbox lapses
-- ARGV: digest...
-- Replies: {'done', now, result...}, a result for each order, parts joined by '|':
--   paid|record  retaken|record  already|record  gone|record  unknown
--   gone: the order stays released and its capture must be refunded.
-- Invariant: available + held + sold = allotment; an order is sold once.
-- include: record
-- include: book
local keys = {
  stock = KEYS[2], orders = KEYS[3], buyers = KEYS[4],
  holds = KEYS[5], outbox = KEYS[6], lapses = KEYS[7],
}
local rules = redis.call('HMGET', KEYS[1], 'phase', 'lateCapture', 'perBuyer', 'items')
local perDrop = tonumber(rules[3])
local book = openBook(keys, ARGV, clock())

local function canRetake(record)
  if record.reason ~= 'expired' or rules[2] ~= 'retake' or rules[1] == 'cancelled' then return false end
  if book.figures(record.item).available < record.quantity then return false end
  local perBuyer = string.match(redis.call('HGET', KEYS[1], 'item:' .. record.item), '|(%d+)$')
  if book.buyer(record).count + record.quantity > tonumber(perBuyer) then return false end
  if not perDrop then return true end
  local total = record.quantity
  for item = 0, rules[4] - 1 do total = total + book.buyer({ item = item, buyer = record.buyer }).count end
  return total <= perDrop
end

local reply = { 'done', string.format('%.0f', book.now) }
for i, digest in ipairs(ARGV) do
  local record, status = book.records[digest], 'unknown'
  if record then
    if record.state == 'r' then
      book.move(digest, record, 'p', 'held', 'sold')
      status = 'paid'
    elseif record.state == 'p' or record.state == 'f' then
      status = 'already'
    elseif canRetake(record) then
      record.reason = ''
      book.move(digest, record, 'p', 'available', 'sold')
      status = 'retaken'
    else
      -- Paid late, and no unit is left for it. One that its buyer cancelled counts all the same.
      if record.reason ~= 'cancelled' then book.excuse(digest, record) end
      status = 'gone'
    end
    status = status .. '|' .. packRecord(record)
  end
  reply[i + 2] = status
end
book.write()
return reply
