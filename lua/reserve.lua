#!lua
-- Reserves units for a batch of orders, decided one by one in the batch's order: available -> held.
-- KEYS: rules stock orders buyers holds outbox appointments
-- ARGV: for each order: digest buyer item quantity method
-- Replies: {'done', now, result...}, a result for each order, parts joined by '|':
--   reserved|record  replayed|record  reused  sold_out|available  all_held|available|dueAt
--   buyer_limit|digest  not_open|startsAt  paused  ended  cancelled  unknown_item  no_appointment
--   or {'missing'} when the lane holds no rules.
-- Invariant: available + held + sold = allotment; a digest is reserved once, however often it is sent.
-- include: record
-- include: appointments
local rulesKey, stockKey, ordersKey, buyersKey, holdsKey, outboxKey, appointmentsKey =
  KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7]

local rules = redis.call('HMGET', rulesKey, 'version', 'phase', 'startsAt', 'endsAt', 'holdMs', 'appointment')
if not rules[1] then return { 'missing' } end
local now = clock()
local phase, startsAt, endsAt = rules[2], tonumber(rules[3]), tonumber(rules[4])
local expiresAt = string.format('%.0f', now + tonumber(rules[5]))

local digests, counters, buyers = {}, {}, {}
for i = 1, #ARGV, 5 do
  digests[#digests + 1] = ARGV[i]
  buyers[#buyers + 1] = ARGV[i + 1]
  counters[#counters + 1] = ARGV[i + 2] .. ':' .. ARGV[i + 1]
end
local known = redis.call('HMGET', ordersKey, unpack(digests))
local owned = redis.call('HMGET', buyersKey, unpack(counters))
local register = rules[6] == '1' and openRegister(appointmentsKey, buyers)

local items, units, fresh = {}, {}, {}
local function itemOf(index)
  local item = items[index]
  if item == nil then
    local unitAmount, perBuyer =
      string.match(redis.call('HGET', rulesKey, 'item:' .. index) or '', '^(%d+)|(%d+)$')
    item = false
    if unitAmount then
      local read = redis.call('HMGET', stockKey, 'available:' .. index, 'held:' .. index)
      item = {
        unitAmount = tonumber(unitAmount), perBuyer = tonumber(perBuyer),
        available = tonumber(read[1]), held = tonumber(read[2]),
      }
    end
    items[index] = item
  end
  return item
end

local orderPairs, buyerPairs, dues, dueAt = {}, {}, {}, nil

local function judge(n, at)
  local digest, buyer, index, quantity, method = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
  local text = fresh[digest] or known[n]
  if text then
    -- A repeated request must be the same: item, quantity and method.
    local i, q, m = string.match(text, '^%a|(%d+)|(%d+)|%d+|%d+|%d+|([^|]*)|')
    if i ~= index or q ~= quantity or m ~= method then return 'reused' end
    return 'replayed|' .. text
  end
  if phase == 'cancelled' then return 'cancelled' end
  if phase == 'ended' or now >= endsAt then return 'ended' end
  if phase == 'paused' then return 'paused' end
  if now < startsAt then return 'not_open|' .. rules[3] end
  local item = itemOf(index)
  if not item then return 'unknown_item' end
  if register and not register.has(n) then return 'no_appointment' end
  local counter, wanted = counters[n], tonumber(quantity)
  local count, last = string.match(units[counter] or owned[n] or '0|', '^(%d+)|(.*)$')
  if count + wanted > item.perBuyer then return 'buyer_limit|' .. last end
  if item.available < wanted then
    if item.available + item.held < wanted then return 'sold_out|' .. item.available end
    dueAt = dueAt or redis.call('ZRANGE', holdsKey, 0, 0, 'WITHSCORES')[2] or expiresAt
    return 'all_held|' .. item.available .. '|' .. dueAt
  end
  item.available = item.available - wanted
  item.held = item.held + wanted
  item.touched = true
  local record = 'r|' .. index .. '|' .. quantity .. '|' .. string.format('%.0f', item.unitAmount * wanted)
    .. '|' .. expiresAt .. '|1|' .. method .. '||' .. buyer
  fresh[digest] = record
  units[counter] = (count + wanted) .. '|' .. digest
  local size = #orderPairs
  orderPairs[size + 1], orderPairs[size + 2] = digest, record
  buyerPairs[size + 1], buyerPairs[size + 2] = counter, units[counter]
  dues[size + 1], dues[size + 2] = expiresAt, digest
  return 'reserved|' .. record
end

local reply = { 'done', string.format('%.0f', now) }
for n = 1, #digests do
  reply[n + 2] = judge(n, (n - 1) * 5 + 1)
end
if #orderPairs == 0 then return reply end

local stockPairs = {}
for index, item in pairs(items) do
  if item and item.touched then
    local size = #stockPairs
    stockPairs[size + 1], stockPairs[size + 2] = 'available:' .. index, item.available
    stockPairs[size + 3], stockPairs[size + 4] = 'held:' .. index, item.held
  end
end
redis.call('HSET', ordersKey, unpack(orderPairs))
redis.call('HSET', buyersKey, unpack(buyerPairs))
redis.call('ZADD', holdsKey, unpack(dues))
redis.call('HSET', stockKey, unpack(stockPairs))
redis.call('XADD', outboxKey, '*', 'at', now, unpack(orderPairs))
return reply
