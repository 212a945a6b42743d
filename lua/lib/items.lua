-- The items that a batch asks for, each read once: price, limit per buyer, units available and held.
local function openItems(rulesKey, stockKey)
  local items, known = {}, {}

  -- The item at a position of the drop; false when there is none.
  function items.at(index)
    local item = known[index]
    if item ~= nil then return item end
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
    known[index] = item
    return item
  end

  function items.hold(item, quantity)
    item.available = item.available - quantity
    item.held = item.held + quantity
    item.touched = true
  end

  -- Fields and values of the stock that changed.
  function items.pairs()
    local changed = {}
    for index, item in pairs(known) do
      if item and item.touched then
        local size = #changed
        changed[size + 1], changed[size + 2] = 'available:' .. index, item.available
        changed[size + 3], changed[size + 4] = 'held:' .. index, item.held
      end
    end
    return changed
  end

  return items
end
