#!lua
-- Changes an item's allotment while it sells: adds units to those available, or removes some of them.
-- KEYS: rules stock edits outbox
-- ARGV: id item delta reason allotmentMax
-- Replies: {'adjusted' | 'already', figures} (figures right after the adjustment),
--   {'below', available} (fewer units are available than are to be removed), {'over', allotment}
--   (it would exceed allotmentMax), {'reused'} (the id was used for another adjustment), {'unknown_item'}, {'closed', phase}, {'missing'}
--   figures: available|held|sold|allotment
-- Invariant: available + held + sold = allotment; an id is applied once.
-- include: record
local rulesKey, stockKey, editsKey, outboxKey = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local id, item, delta, reason, allotmentMax = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]

local rules = redis.call('HMGET', rulesKey, 'phase', 'item:' .. item)
if not rules[1] then return { 'missing' } end
local request = item .. '|' .. delta .. '|' .. reason
local before = redis.call('HGET', editsKey, id)
if before then
  local figures, asked = string.match(before, '^(%d+|%d+|%d+|%d+)|(.*)$')
  if asked ~= request then return { 'reused' } end
  return { 'already', figures }
end
if rules[1] == 'ended' or rules[1] == 'cancelled' then return { 'closed', rules[1] } end
if not rules[2] then return { 'unknown_item' } end

local read = redis.call('HMGET', stockKey,
  'available:' .. item, 'held:' .. item, 'sold:' .. item, 'allotment:' .. item)
local available, allotment = read[1] + delta, read[4] + delta
if available < 0 then return { 'below', read[1] } end
if allotment > tonumber(allotmentMax) then return { 'over', read[4] } end

local figures = available .. '|' .. read[2] .. '|' .. read[3] .. '|' .. allotment
redis.call('HSET', stockKey, 'available:' .. item, available, 'allotment:' .. item, allotment)
redis.call('HSET', editsKey, id, figures .. '|' .. request)
redis.call('XADD', outboxKey, '*', 'at', clock(), 'adjust:' .. id, request)
return { 'adjusted', figures }
