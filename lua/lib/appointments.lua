-- The appointments of a lane are one hash: `count` of those ever made, `removed`, and buckets with the buyers' fingerprints, 8 bytes
-- each, one after the other. A bucket has `bucketSize` of them on average: each time the count grows by
-- that number, one more bucket is split off an earlier one (linear hashing), so the count alone
-- determines the bucket of a fingerprint. `bucketSize` is part of the stored form: never change it.
local bucketSize = 16

-- A buyer's fingerprint, the first 64 bits of SHA-1, and the first 32 of these as a number.
local function fingerprint(buyer)
  local hex = redis.sha1hex(buyer)
  local hash = tonumber(string.sub(hex, 1, 8), 16)
  return struct.pack('>I4I4', hash, tonumber(string.sub(hex, 9, 16), 16)), hash
end

-- Reads the buckets of a batch of buyers. `has(i)` is true when the i-th buyer has an appointment.
local function openRegister(appointmentsKey, buyers)
  local count = tonumber(redis.call('HGET', appointmentsKey, 'count') or 0)
  local register = { count = count, size = math.floor(count / bucketSize) + 1, texts = {}, changed = {} }
  local span = 1
  while span < register.size do span = span * 2 end
  local prints, buckets = {}, {}
  for i, buyer in ipairs(buyers) do
    local print, hash = fingerprint(buyer)
    local bucket = hash % span
    if bucket >= register.size then bucket = bucket - span / 2 end
    prints[i], buckets[i] = print, bucket
  end
  local read = redis.call('HMGET', appointmentsKey, unpack(buckets))
  for i, bucket in ipairs(buckets) do register.texts[bucket] = read[i] or '' end

  local function find(i)
    local text = register.texts[buckets[i]]
    local at = string.find(text, prints[i], 1, true)
    while at and at % 8 ~= 1 do at = string.find(text, prints[i], at + 1, true) end
    return at
  end

  function register.has(i) return find(i) ~= nil end

  -- Takes the i-th buyer out of their bucket, if they are in it. The count stays what it is.
  function register.remove(i)
    local at, bucket = find(i), buckets[i]
    if not at then return false end
    local text = register.texts[bucket]
    register.texts[bucket] = string.sub(text, 1, at - 1) .. string.sub(text, at + 8)
    register.changed[bucket] = true
    return true
  end

  function register.add(i)
    register.texts[buckets[i]] = register.texts[buckets[i]] .. prints[i]
    register.count = register.count + 1
  end

  return register
end
