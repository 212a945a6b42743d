#!lua flags=allow-oom
-- Sets how long after its end sweep leaves a hold alone: a grace while the order's payment is open at
-- a provider, so that it can be closed there first; 0 once none is open. The first grace means that the
-- buyer begins to pay: it extends the hold by what the order's record says.
-- KEYS: orders holds outbox
-- ARGV: for each order: digest graceMs word
--   word: `failed` when its payment could not be begun by no fault of its buyer, so that the order does
--   not count against them; `payable` when the buyer can pay it now, so that it does; '' for neither
-- Replies: {'done', now, result...}, a result for each order, parts joined by '|':
--   deferred|record  refused|record (it is no longer reserved)  unknown
-- Invariant: no figure changes; only reserved orders have a hold, and each is extended once.
-- include: record
local ordersKey, holdsKey, outboxKey = KEYS[1], KEYS[2], KEYS[3]
local digests, records = {}, {}
for i = 1, #ARGV, 3 do digests[#digests + 1] = ARGV[i] end
for i, text in ipairs(redis.call('HMGET', ordersKey, unpack(digests))) do
  if text then records[digests[i]] = unpackRecord(text) end
end

local now = clock()
local reply = { 'done', string.format('%.0f', now) }
local dues, changed, extended = {}, {}, {}
for i, digest in ipairs(digests) do
  local record, graceMs, word = records[digest], tonumber(ARGV[i * 3 - 1]), ARGV[i * 3]
  local status = 'unknown'
  if record then
    status = 'refused'
    if record.state == 'r' then
      status = 'deferred'
      if word ~= '' then
        record.excused = word == 'failed' and '~' or ''
        changed[#changed + 1] = digest
      end
      if graceMs > 0 and extendHold(record) then
        extended[#extended + 1] = digest
      end
      dues[#dues + 1] = string.format('%.0f', record.expiresAt + graceMs)
      dues[#dues + 1] = digest
    end
    status = status .. '|' .. packRecord(record)
  end
  reply[i + 2] = status
end
if #dues > 0 then redis.call('ZADD', holdsKey, unpack(dues)) end
-- Packed at the end: one call may have two words for one order.
local function packed(list)
  local fields = {}
  for _, digest in ipairs(list) do
    fields[#fields + 1], fields[#fields + 2] = digest, packRecord(records[digest])
  end
  return fields
end
if #changed > 0 then redis.call('HSET', ordersKey, unpack(packed(changed))) end
if #extended > 0 then
  redis.call('HSET', ordersKey, unpack(packed(extended)))
  redis.call('XADD', outboxKey, '*', 'at', now, unpack(packed(extended)))
end
return reply
