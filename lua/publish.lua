#!lua
-- Writes a version of the drop's rules to a lane; the first version also writes the stock.
-- KEYS: rules stock
-- ARGV: version first phase startsAt endsAt holdMs lateCapture appointment drop, then for each item:
--   unitAmount perBuyer allotment
--   first is '1' while the drop has never been published, else '0'; appointment is '1' when a Buy
--   needs one, else '0'; drop is the drop as JSON
-- Replies: {'published', version}, {'already', version} (this version or a later one is there),
--   {'lost'} (the drop was published and this lane has no rules: its data is lost; nothing is written)
-- Invariant: stock is set once; versions only grow.
local rulesKey, stockKey = KEYS[1], KEYS[2]
local version, first = ARGV[1], ARGV[2] == '1'

local current = redis.call('HGET', rulesKey, 'version')
if current and tonumber(current) >= tonumber(version) then return { 'already', current } end
if not current and not first then return { 'lost' } end

local rules = {
  'version', version, 'phase', ARGV[3], 'startsAt', ARGV[4], 'endsAt', ARGV[5],
  'holdMs', ARGV[6], 'lateCapture', ARGV[7], 'appointment', ARGV[8], 'drop', ARGV[9],
}
local stock = {}
for i = 10, #ARGV, 3 do
  local item = (i - 10) / 3
  rules[#rules + 1] = 'item:' .. item
  rules[#rules + 1] = ARGV[i] .. '|' .. ARGV[i + 1]
  for _, pair in ipairs({ { 'available', ARGV[i + 2] }, { 'held', 0 }, { 'sold', 0 }, { 'allotment', ARGV[i + 2] } }) do
    stock[#stock + 1], stock[#stock + 2] = pair[1] .. ':' .. item, pair[2]
  end
end
-- The stock goes first because it is the longer list: if it is too long for unpack, nothing is written.
if not current then redis.call('HSET', stockKey, unpack(stock)) end
redis.call('HSET', rulesKey, unpack(rules))
return { 'published', version }
