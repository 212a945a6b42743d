#!lua flags=no-writes
-- Reads a lane's figures, all at one instant.
-- KEYS: rules stock orders holds outbox appointments
-- ARGV: none
-- Replies: {'done', now, version, phase, orders, holds, dueAt, backlog, lastEvent, appointments,
--   field, value...}
--   orders, holds and appointments are counts; dueAt is the earliest hold's end or '', backlog the
--   length of the outbox, lastEvent the id of the last entry ever added to it; then the stock's fields
--   and values
--   or {'missing', now} when the lane holds no rules.
-- Invariant: writes nothing; the figures belong to one instant.
-- include: record
local now = string.format('%.0f', clock())
local rules = redis.call('HMGET', KEYS[1], 'version', 'phase')
if not rules[1] then return { 'missing', now } end

local lastEvent = '0-0'
if redis.call('EXISTS', KEYS[5]) == 1 then
  local info = redis.call('XINFO', 'STREAM', KEYS[5])
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then lastEvent = info[i + 1] end
  end
end
local due = redis.call('ZRANGE', KEYS[4], 0, 0, 'WITHSCORES')[2] or ''
local made = redis.call('HMGET', KEYS[6], 'count', 'removed')
local reply = {
  'done', now, rules[1], rules[2],
  redis.call('HLEN', KEYS[3]), redis.call('ZCARD', KEYS[4]), due, redis.call('XLEN', KEYS[5]), lastEvent,
  tonumber(made[1] or 0) - tonumber(made[2] or 0),
}
for _, entry in ipairs(redis.call('HGETALL', KEYS[2])) do reply[#reply + 1] = entry end
return reply
