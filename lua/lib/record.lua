-- An order's record, the value of its field in the hash `orders`, packed to keep a live order small:
-- state|item|quantity|amount|expiresAt|version|method|reason|buyer
-- state is one letter: r reserved, p paid, x released, f refunded. The buyer comes last because
-- it alone may contain a bar.
local function unpackRecord(text)
  local r = {}
  r.state, r.item, r.quantity, r.amount, r.expiresAt, r.version, r.method, r.reason, r.buyer =
    string.match(text, '^(%a)|(%d+)|(%d+)|(%d+)|(%d+)|(%d+)|([^|]*)|([^|]*)|(.*)$')
  r.quantity = tonumber(r.quantity)
  return r
end

local function packRecord(r)
  return table.concat({
    r.state, r.item, r.quantity, r.amount, r.expiresAt, r.version, r.method, r.reason, r.buyer,
  }, '|')
end

-- Milliseconds since the epoch on Redis' clock, which alone decides about windows and holds.
local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
