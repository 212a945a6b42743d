-- The units that the buyers of a batch hold or own, and their limits. `counters` are the fields of
-- `buyers` for each order: <item>:<buyer>. `perDrop` limits a buyer's units of all `items` together;
-- nil for no such limit.
local function openUnits(buyersKey, batch, perDrop, items)
  local units = { pairs = {} }
  local counters, buyers = batch.counters, batch.buyers
  local known, fresh, byItem = redis.call('HMGET', buyersKey, unpack(counters)), {}, {}
  for item = 0, perDrop and items - 1 or -1 do
    local fields = {}
    for n, buyer in ipairs(buyers) do fields[n] = item .. ':' .. buyer end
    byItem[item] = redis.call('HMGET', buyersKey, unpack(fields))
  end

  local function parse(text)
    local count, last = string.match(text or '0|', '^(%d+)|(.*)$')
    return tonumber(count), last
  end

  -- Of all items: the units, and an order that keeps some of them.
  local function inDrop(n)
    local total, holder = 0, ''
    for item = 0, items - 1 do
      local count, last = parse(fresh[item .. ':' .. buyers[n]] or byItem[item][n])
      total = total + count
      if last ~= '' then holder = last end
    end
    return total, holder
  end

  -- The units of the n-th order's item that its buyer has, and a word and an order when `wanted` more
  -- would be over a limit.
  function units.count(n, wanted, perBuyer)
    local count, last = parse(fresh[counters[n]] or known[n])
    if count + wanted > perBuyer then return count, 'item|' .. last end
    if not perDrop then return count end
    local total, holder = inDrop(n)
    return count, total + wanted > perDrop and 'drop|' .. holder or nil
  end

  function units.set(n, count, digest)
    fresh[counters[n]] = count .. '|' .. digest
    local size = #units.pairs
    units.pairs[size + 1], units.pairs[size + 2] = counters[n], fresh[counters[n]]
  end

  return units
end
