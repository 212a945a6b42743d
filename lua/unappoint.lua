#!lua
-- Removes appointments of buyers.
-- KEYS: rules appointments
-- ARGV: buyer...
-- Replies: {'done', result...}, a result for each buyer, parts joined by '|':
--   removed  none
--   or {'missing'} when the lane holds no rules.
-- Invariant: a buyer has at most one appointment; `count` never falls, since it determines the buckets.
-- include: appointments
local rulesKey, appointmentsKey = KEYS[1], KEYS[2]

if redis.call('EXISTS', rulesKey) == 0 then return { 'missing' } end
local register = openRegister(appointmentsKey, ARGV)

local reply = { 'done' }
local removed = 0
for i = 1, #ARGV do
  local status = 'none'
  if register.remove(i) then
    removed = removed + 1
    status = 'removed'
  end
  reply[i + 1] = status
end
if removed == 0 then return reply end

local pairsToWrite = {}
for bucket in pairs(register.changed) do
  local size = #pairsToWrite
  pairsToWrite[size + 1], pairsToWrite[size + 2] = bucket, register.texts[bucket]
end
redis.call('HSET', appointmentsKey, unpack(pairsToWrite))
redis.call('HINCRBY', appointmentsKey, 'removed', removed)
return reply
