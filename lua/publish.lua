#!lua
-- Writes a version of the drop's rules to a lane; the first version also writes the stock.
-- KEYS: rules stock edits orders
-- ARGV: version first edit editVersion phase startsAt endsAt holdMs lateCapture appointment perBuyer unpaidHoldMs
--   lapsesMax items drop, then for each item:
--   unitAmount perBuyer allotment
--   first is '1' while the drop has never been published, else '0'; edit is 'rules' when the version
--   carries an edit of the drop, 'stock' when that edit changes items or allotments, else 'no';
--   editVersion is the first version that carries that edit, 0 for none;
--   appointment is '1' when a Buy needs one, else '0'; perBuyer, unpaidHoldMs and lapsesMax are '' for
--   none; items is their number; drop is the drop as JSON
-- Replies: {'published', version}, {'already', version} (this version or a later one is there),
--   {'lost'} (the drop was published and this lane has no rules: its data is lost; nothing is written),
--   {'open'} (an edit came when the drop had opened), {'adjusted'} (an edit of the stock came after an
--   adjustment of it)
-- Invariant: stock is set once, and anew only before the drop opens; versions only grow.
-- include: record
local rulesKey, stockKey, editsKey, ordersKey = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local version, first, edit, editVersion = ARGV[1], ARGV[2] == '1', ARGV[3], tonumber(ARGV[4])

local read = redis.call('HMGET', rulesKey, 'version', 'startsAt')
local current, startsAt = read[1], tonumber(read[2])
if current and tonumber(current) >= tonumber(version) then return { 'already', current } end
if not current and not first then return { 'lost' } end
-- A refused edit writes nothing, so a lane that has a version with the edit took it: there is nothing to refuse.
if current and tonumber(current) >= editVersion then edit = 'no' end
-- From `startsAt` on there may be orders, whatever the phase is now; with orders the stock is never set anew.
local hasOpened = current and (clock() >= startsAt or redis.call('EXISTS', ordersKey) == 1)
if hasOpened and edit ~= 'no' then return { 'open' } end
if current and edit == 'stock' and redis.call('EXISTS', editsKey) == 1 then return { 'adjusted' } end

local rules = {
  'version', version, 'phase', ARGV[5], 'startsAt', ARGV[6], 'endsAt', ARGV[7],
  'holdMs', ARGV[8], 'lateCapture', ARGV[9], 'appointment', ARGV[10], 'perBuyer', ARGV[11],
  'unpaidHoldMs', ARGV[12], 'lapsesMax', ARGV[13], 'items', ARGV[14], 'drop', ARGV[15],
}
local stock = {}
for i = 16, #ARGV, 3 do
  local item = (i - 16) / 3
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
