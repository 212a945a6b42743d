#!lua flags=allow-oom
-- Sets how long after its end sweep leaves a hold alone: a grace while the order's payment is open at
-- a provider, so that it can be closed there first; 0 once none is open.
-- KEYS: orders holds
-- ARGV: for each order: digest graceMs
-- Replies: {'done', now, result...}, a result for each order, parts joined by '|':
--   deferred|record  refused|record (it is no longer reserved)  unknown
-- Invariant: no figure and no record changes; only reserved orders have a hold.
-- include: record
local ordersKey, holdsKey = KEYS[1], KEYS[2]
local digests = {}
for i = 1, #ARGV, 2 do digests[#digests + 1] = ARGV[i] end
local texts = redis.call('HMGET', ordersKey, unpack(digests))

local reply = { 'done', string.format('%.0f', clock()) }
local dues = {}
for i, digest in ipairs(digests) do
  local text = texts[i]
  local status = 'unknown'
  if text then
    local record = unpackRecord(text)
    status = 'refused'
    if record.state == 'r' then
      status = 'deferred'
      dues[#dues + 1] = string.format('%.0f', record.expiresAt + ARGV[i * 2])
      dues[#dues + 1] = digest
    end
    status = status .. '|' .. text
  end
  reply[i + 2] = status
end
if #dues > 0 then redis.call('ZADD', holdsKey, unpack(dues)) end
return reply
