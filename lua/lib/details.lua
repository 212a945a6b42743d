-- Keeps the details of the orders that this call has reserved: pairs of ARGV from `from` on, the position
-- of an order in the batch and its details.
local function keepDetails(detailsKey, from, digests, reply)
  for at = from, #ARGV, 2 do
    local n = tonumber(ARGV[at])
    if string.sub(reply[n + 2], 1, 9) == 'reserved|' then
      redis.call('HSET', detailsKey, digests[n], ARGV[at + 1])
    end
  end
end
