#!lua
-- Reserves units for a batch of orders, decided one by one in the batch's order: available -> held.
-- KEYS: rules stock orders buyers holds outbox appointments lapses details
-- ARGV: count, then for each of so many orders: digest buyer item quantity method awaits; then for each order
--   that has details: its position from 1 on, details
--   method is followed by `;` and a fingerprint of the details where there are any; awaits is '1' when the buyer has to begin the payment, '0' when the engine charges
-- Replies: {'done', now, result...}, a result for each order, parts joined by '|':
--   reserved|record  replayed|record  reused  sold_out|available  all_held|available|dueAt
--   buyer_limit|scope|digest  not_open|startsAt  paused  ended  cancelled  unknown_item  no_appointment
--   scope: whose limit, `item` or `drop`; digest: an order that keeps units of the buyer, or ''
--   lapse_limit|lapses
--   or {'missing'} when the lane holds no rules.
-- Invariant: available + held + sold = allotment; a digest is reserved once, however often it is sent.
-- include: record
-- include: appointments
-- include: units
-- include: items
-- include: details
local rulesKey, stockKey, ordersKey, buyersKey, holdsKey, outboxKey, appointmentsKey, lapsesKey, detailsKey =
  KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7], KEYS[8], KEYS[9]

local rules = redis.call('HMGET', rulesKey,
  'version', 'phase', 'startsAt', 'endsAt', 'holdMs', 'appointment', 'perBuyer', 'items',
  'unpaidHoldMs', 'lapsesMax')
if not rules[1] then return { 'missing' } end
local now = clock()
local phase, startsAt, endsAt = rules[2], tonumber(rules[3]), tonumber(rules[4])
local holdMs, unpaidMs, lapsesMax = tonumber(rules[5]), tonumber(rules[9]), tonumber(rules[10])
local full = { at = now + holdMs, extension = '' }
local unpaid = unpaidMs and { at = now + unpaidMs, extension = '+' .. holdMs - unpaidMs } or full

local digests, counters, buyers, last = {}, {}, {}, 1 + ARGV[1] * 6
for i = 2, last, 6 do
  digests[#digests + 1] = ARGV[i]
  buyers[#buyers + 1] = ARGV[i + 1]
  counters[#counters + 1] = ARGV[i + 2] .. ':' .. ARGV[i + 1]
end
local known = redis.call('HMGET', ordersKey, unpack(digests))
local batch = { counters = counters, buyers = buyers }
local units = openUnits(buyersKey, batch, tonumber(rules[7]), rules[8])
local register = rules[6] == '1' and openRegister(appointmentsKey, buyers)

local lapses = lapsesMax and redis.call('HMGET', lapsesKey, unpack(buyers))
local items = openItems(rulesKey, stockKey)

local fresh, orderPairs, dues = {}, {}, {}
-- When the first hold ends: of those before this batch, and of those that it adds.
local dueAt, addedDueAt

local function firstDue()
  dueAt = dueAt or tonumber(redis.call('ZRANGE', holdsKey, 0, 0, 'WITHSCORES')[2]) or full.at
  return string.format('%.0f', math.min(dueAt, addedDueAt or dueAt))
end

local function judge(n, at)
  local digest, buyer, index, quantity, method = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
  local hold = ARGV[at + 5] == '1' and unpaid or full
  local text = fresh[digest] or known[n]
  if text then
    -- A repeated request must be the same: item, quantity and method.
    local i, q, m = string.match(text, '^%a|(%d+)|(%d+)|%d+|[%d+>~-]+|%d+|([^|]*)|')
    if i ~= index or q ~= quantity or m ~= method then return 'reused' end
    return 'replayed|' .. text
  end
  if phase == 'cancelled' then return 'cancelled' end
  if phase == 'ended' or now >= endsAt then return 'ended' end
  if phase == 'paused' then return 'paused' end
  if now < startsAt then return 'not_open|' .. rules[3] end
  local item = items.at(index)
  if not item then return 'unknown_item' end
  if register and not register.has(n) then return 'no_appointment' end
  if lapsesMax and tonumber(lapses[n] or 0) >= lapsesMax then return 'lapse_limit|' .. lapses[n] end
  local wanted = tonumber(quantity)
  local count, limit = units.count(n, wanted, item.perBuyer)
  if limit then return 'buyer_limit|' .. limit end
  if item.available < wanted then
    if item.available + item.held < wanted then return 'sold_out|' .. item.available end
    return 'all_held|' .. item.available .. '|' .. firstDue()
  end
  items.hold(item, wanted)
  addedDueAt = math.min(addedDueAt or hold.at, hold.at)
  local expiresAt = string.format('%.0f', hold.at)
  local record = 'r|' .. index .. '|' .. quantity .. '|' .. string.format('%.0f', item.unitAmount * wanted)
    .. '|' .. expiresAt .. hold.extension .. '|1|' .. method .. '||' .. buyer
  fresh[digest] = record
  units.set(n, count + wanted, digest)
  local size = #orderPairs
  orderPairs[size + 1], orderPairs[size + 2] = digest, record
  dues[size + 1], dues[size + 2] = expiresAt, digest
  return 'reserved|' .. record
end

local reply = { 'done', string.format('%.0f', now) }
for n = 1, #digests do
  reply[n + 2] = judge(n, (n - 1) * 6 + 2)
end
if #orderPairs == 0 then return reply end

redis.call('HSET', ordersKey, unpack(orderPairs))
redis.call('HSET', buyersKey, unpack(units.pairs))
redis.call('ZADD', holdsKey, unpack(dues))
redis.call('HSET', stockKey, unpack(items.pairs()))
keepDetails(detailsKey, last + 1, digests, reply)
redis.call('XADD', outboxKey, '*', 'at', now, unpack(orderPairs))
return reply
