#!lua
-- Makes appointments for buyers.
-- KEYS: rules appointments
-- ARGV: buyer...
-- Replies: {'done', result...}, a result for each buyer, parts joined by '|':
--   appointed  already
--   or {'missing'} when the lane holds no rules.
-- Invariant: a buyer has at most one appointment and is counted once.
-- include: appointments
local rulesKey, appointmentsKey = KEYS[1], KEYS[2]

if redis.call('EXISTS', rulesKey) == 0 then return { 'missing' } end
local register = openRegister(appointmentsKey, ARGV)
local texts, before = register.texts, register.count

local reply = { 'done' }
for i = 1, #ARGV do
  local status = 'already'
  if not register.has(i) then
    register.add(i)
    status = 'appointed'
  end
  reply[i + 1] = status
end
if register.count == before then return reply end

-- Splits buckets: bucket n receives, from the bucket without n's highest bit, the fingerprints that
-- have that bit.
local span = 1
for bucket = register.size, math.floor(register.count / bucketSize) do
  while span * 2 <= bucket do span = span * 2 end
  local from = bucket - span
  local text = texts[from] or redis.call('HGET', appointmentsKey, from) or ''
  local stay, move = {}, {}
  for at = 1, #text, 8 do
    local print = string.sub(text, at, at + 7)
    local part = struct.unpack('>I4', print) % (span * 2) == bucket and move or stay
    part[#part + 1] = print
  end
  texts[from], texts[bucket] = table.concat(stay), table.concat(move)
end

local pairsToWrite = { 'count', register.count }
for bucket, text in pairs(texts) do
  local size = #pairsToWrite
  pairsToWrite[size + 1], pairsToWrite[size + 2] = bucket, text
end
redis.call('HSET', appointmentsKey, unpack(pairsToWrite))
return reply
