-- An order's record, the value of its field in the hash `orders`, packed to keep a live order small:
-- state|item|quantity|amount|expiresAt|version|method|reason|buyer
-- state is one letter: r reserved, p paid, x released, f refunded. expiresAt of an order that its buyer
-- has to pay is followed by `+ms`, what beginning the payment adds to the hold, or by `-ms` once it has
-- been added; by `>ms`, what the hold was shortened by when the order turned out to await its buyer, and
-- what beginning the payment gives back. After that comes `~` when the order does not count against its buyer, though it ends
-- unpaid. The buyer comes last because it alone may contain a bar.
local function unpackRecord(text)
  local r = {}
  r.state, r.item, r.quantity, r.amount, r.expiresAt, r.extension, r.excused, r.version, r.method, r.reason, r.buyer =
    string.match(text, '^(%a)|(%d+)|(%d+)|(%d+)|(%d+)([+>-]?%d*)(~?)|(%d+)|([^|]*)|([^|]*)|(.*)$')
  r.quantity = tonumber(r.quantity)
  return r
end

local function packRecord(r)
  return table.concat({
    r.state, r.item, r.quantity, r.amount, r.expiresAt .. r.extension .. r.excused, r.version, r.method,
    r.reason, r.buyer,
  }, '|')
end

-- Adds to an order's hold what beginning its payment adds or gives back. False when that is nothing.
local function extendHold(r)
  local sign, text = string.match(r.extension, '^([+>])(%d+)$')
  local ms = tonumber(text or 0)
  if ms == 0 then return false end
  r.expiresAt = string.format('%.0f', r.expiresAt + ms)
  r.extension = sign == '>' and '+0' or '-' .. text
  r.version = r.version + 1
  return true
end

-- Milliseconds since the epoch on Redis' clock, which alone decides about windows and holds.
local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
