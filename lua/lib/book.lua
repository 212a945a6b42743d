-- The changes of one call: reads the orders of a batch, lets the script decide each, and writes all
-- changes at the end. Nothing is written before the last decision; a figure that would fall below zero
-- is a bug and fails the call before its first write. `now` is the instant of the whole call, because
-- the server's clock advances while a script runs.

local lapseReasons = { cancelled = true, declined = true, insufficient_funds = true }

-- In milliseconds. A hold that ends later than this after its time ends late because the engine or its
-- stores were away, and its buyer could not pay then.
local lateMs = 5000

-- Whether a released order counts against its buyer. One that the engine was to charge and that ended
-- with its time does not, nor one that is excused: its buyer could not pay, or paid too late.
local function isLapse(record)
  if record.excused ~= '' then return false end
  return lapseReasons[record.reason] or (record.reason == 'expired' and record.extension ~= '')
end

local function openBook(keys, digests, now)
  local book = { now = now, records = {}, moved = {}, marked = {}, stock = {}, units = {}, lapses = {} }
  local texts = #digests > 0 and redis.call('HMGET', keys.orders, unpack(digests)) or {}
  for i, digest in ipairs(digests) do
    if texts[i] then book.records[digest] = unpackRecord(texts[i]) end
  end

  function book.figures(item)
    local figures = book.stock[item]
    if not figures then
      local read = redis.call('HMGET', keys.stock, 'available:' .. item, 'held:' .. item, 'sold:' .. item)
      figures = { available = tonumber(read[1]), held = tonumber(read[2]), sold = tonumber(read[3]) }
      book.stock[item] = figures
    end
    return figures
  end

  -- The units of an item that a buyer holds or owns, and the order that added the last of them.
  function book.buyer(record)
    local field = record.item .. ':' .. record.buyer
    local units = book.units[field]
    if not units then
      local count, last = string.match(redis.call('HGET', keys.buyers, field) or '0|', '^(%d+)|(.*)$')
      units = { count = tonumber(count), last = last }
      book.units[field] = units
    end
    return units
  end

  local function addLapse(buyer, by) book.lapses[buyer] = (book.lapses[buyer] or 0) + by end

  -- Moves a record's units between two figures of its item (available, held, sold).
  function book.move(digest, record, state, from, to)
    local figures = book.figures(record.item)
    figures[from] = figures[from] - record.quantity
    figures[to] = figures[to] + record.quantity
    if from == 'available' then
      local units = book.buyer(record)
      units.count, units.last = units.count + record.quantity, digest
      -- Its payment came late, but it came.
      if record.extension ~= '' and record.excused == '' then addLapse(record.buyer, -1) end
    elseif to == 'available' then
      local units = book.buyer(record)
      units.count = units.count - record.quantity
      if units.last == digest then units.last = '' end
      if from == 'held' and now > record.expiresAt + lateMs then record.excused = '~' end
      if from == 'held' and isLapse(record) then addLapse(record.buyer, 1) end
    end
    record.state, record.version = state, record.version + 1
    book.moved[#book.moved + 1] = digest
  end

  -- Writes into a record whether the order counts against its buyer: '~' when it does not, else ''.
  function book.mark(digest, record, excused)
    if record.excused == excused then return end
    record.excused = excused
    book.marked[#book.marked + 1] = digest
  end

  -- Takes back the lapse of a released order, once: its record says afterwards that it does not count.
  function book.excuse(digest, record)
    if not isLapse(record) then return end
    addLapse(record.buyer, -1)
    book.mark(digest, record, '~')
  end

  -- Writes all changes. `edits` are the fields of the outbox entry that follow its orders.
  function book.write(edits)
    local orders, stock, set, drop, seen = {}, {}, {}, {}, {}
    for item, figures in pairs(book.stock) do
      for name, value in pairs(figures) do
        if value < 0 then error('BUG ' .. name .. ' of item ' .. item .. ' would be ' .. value) end
        stock[#stock + 1], stock[#stock + 2] = name .. ':' .. item, value
      end
    end
    for field, units in pairs(book.units) do
      if units.count < 0 then error('BUG units of ' .. field .. ' would be ' .. units.count) end
      if units.count == 0 then
        drop[#drop + 1] = field
      else
        set[#set + 1], set[#set + 2] = field, units.count .. '|' .. units.last
      end
    end
    for _, digest in ipairs(book.moved) do
      if not seen[digest] then
        seen[digest] = true
        orders[#orders + 1], orders[#orders + 2] = digest, packRecord(book.records[digest])
      end
    end
    for _, digest in ipairs(book.marked) do
      redis.call('HSET', keys.orders, digest, packRecord(book.records[digest]))
    end
    for buyer, by in pairs(book.lapses) do
      local count = by ~= 0 and redis.call('HINCRBY', keys.lapses, buyer, by) or 1
      if count <= 0 then redis.call('HDEL', keys.lapses, buyer) end
    end
    if #orders == 0 then return end
    redis.call('HSET', keys.orders, unpack(orders))
    redis.call('HSET', keys.stock, unpack(stock))
    if #set > 0 then redis.call('HSET', keys.buyers, unpack(set)) end
    if #drop > 0 then redis.call('HDEL', keys.buyers, unpack(drop)) end
    redis.call('ZREM', keys.holds, unpack(book.moved))
    for _, field in ipairs(edits or {}) do orders[#orders + 1] = field end
    redis.call('XADD', keys.outbox, '*', 'at', book.now, unpack(orders))
  end

  return book
end
