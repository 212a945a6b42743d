#!lua
-- Writes a version of the drop's rules to a lane; the first version also writes the stock.
-- KEYS: rules stock edits orders
-- ARGV: version first edit phase startsAt endsAt holdMs lateCapture appointment perBuyer unpaidHoldMs
--   lapsesMax items drop, then for each item:
--   unitAmount perBuyer allotment
--   first is '1' while the drop has never been published, else '0'; edit is 'rules' when the version
--   carries an edit of the drop, 'stock' when that edit changes items or allotments, else 'no';
--   appointment is '1' when a Buy needs one, else '0'; perBuyer, unpaidHoldMs and lapsesMax are '' for
--   none; items is their number; drop is the drop as JSON
-- Replies: {'published', version}, {'already', version} (this version or a later one is there),
--   {'lost'} (the drop was published and this lane has no rules: its data is lost; nothing is written),
--   {'open'} (an edit came when the drop had opened), {'adjusted'} (an edit of the stock came after an
--   adjustment of it)
-- Invariant: stock is set once, and anew only before the drop opens; versions only grow.
-- include: record
local rulesKey, stockKey, editsKey, ordersKey = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local version, first, edit = ARGV[1], ARGV[2] == '1', ARGV[3]

local read = redis.call('HMGET', rulesKey, 'version', 'startsAt')
local current, startsAt = read[1], tonumber(read[2])
if current and tonumber(current) >= tonumber(version) then return { 'already', current } end
if not current and not first then return { 'lost' } end
-- From `startsAt` on there may be orders, whatever the phase is now; with orders the stock is never set anew.
local hasOpened = current and (clock() >= startsAt or redis.call('EXISTS', ordersKey) == 1)
if hasOpened and edit ~= 'no' then return { 'open' } end
if current and edit == 'stock' and redis.call('EXISTS', editsKey) == 1 then return { 'adjusted' } end

local rules = {
  'version', version, 'phase', ARGV[4], 'startsAt', ARGV[5], 'endsAt', ARGV[6],
  'holdMs', ARGV[7], 'lateCapture', ARGV[8], 'appointment', ARGV[9], 'perBuyer', ARGV[10],
  'unpaidHoldMs', ARGV[11], 'lapsesMax', ARGV[12], 'items', ARGV[13], 'drop', ARGV[14],
}
local stock = {}
for i = 15, #ARGV, 3 do
  local item = (i - 15) / 3
  rules[#rules + 1] = 'item:' .. item
  rules[#rules + 1] = ARGV[i] .. '|' .. ARGV[i + 1]
  for _, pair in ipairs({ { 'available', ARGV[i + 2] }, { 'held', 0 }, { 'sold', 0 }, { 'allotment', ARGV[i + 2] } }) do
    stock[#stock + 1], stock[#stock + 2] = pair[1] .. ':' .. item, pair[2]
  end
end
-- The stock goes first because it is the longer list: if it is too long for unpack, nothing is written.
if not current or edit == 'stock' then redis.call('HSET', stockKey, unpack(stock)) end
redis.call('HSET', rulesKey, unpack(rules))
return { 'published', version }
