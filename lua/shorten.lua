#!lua flags=allow-oom
-- Shortens the holds of orders that the engine was to charge and that turned out to await their buyers: to
-- the hold until the payment is begun, counted from now. Beginning the payment gives the rest back. An
-- order with less than half of that hold left does not count against its buyer until its payment is begun.
-- KEYS: rules orders holds outbox
-- ARGV: digest...
-- Replies: {'done', now, result...}, a result for each order, parts joined by '|':
--   shortened|record  already|record (it awaits its buyer already, or its payment is begun)
--   refused|record (it is no longer reserved, or the drop has no hold for unpaid orders)  unknown
-- Invariant: no figure changes; a hold is shortened once and never made longer.
-- include: record
local ordersKey, holdsKey, outboxKey = KEYS[2], KEYS[3], KEYS[4]
local unpaidMs = tonumber(redis.call('HGET', KEYS[1], 'unpaidHoldMs') or '')
local records = {}
for i, text in ipairs(redis.call('HMGET', ordersKey, unpack(ARGV))) do
  if text then records[ARGV[i]] = unpackRecord(text) end
end

local now = clock()
local reply = { 'done', string.format('%.0f', now) }
local dues, changed = {}, {}
for i, digest in ipairs(ARGV) do
  local record, status = records[digest], 'unknown'
  if record then
    local dueAt = tonumber(redis.call('ZSCORE', holdsKey, digest))
    if record.state ~= 'r' or not unpaidMs then
      status = 'refused'
    elseif record.extension ~= '' or dueAt ~= tonumber(record.expiresAt) then
      status = 'already'
    else
      status = 'shortened'
      local endsAt = math.min(dueAt, now + unpaidMs)
      record.expiresAt, record.extension = string.format('%.0f', endsAt), '>' .. dueAt - endsAt
      -- The engine found out late, and left the buyer too little time to begin.
      if endsAt - now < unpaidMs / 2 then record.excused = '~' end
      record.version = record.version + 1
      dues[#dues + 1], dues[#dues + 2] = record.expiresAt, digest
      changed[#changed + 1], changed[#changed + 2] = digest, packRecord(record)
    end
    status = status .. '|' .. packRecord(record)
  end
  reply[i + 2] = status
end
if #changed == 0 then return reply end
redis.call('HSET', ordersKey, unpack(changed))
redis.call('ZADD', holdsKey, unpack(dues))
redis.call('XADD', outboxKey, '*', 'at', now, unpack(changed))
return reply
