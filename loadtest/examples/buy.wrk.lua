-- Buys of distinct buyers with wrk: a closed loop, one Buy at a time on each connection.
--
--   npm run tokens -- --file tokens.ndjson --count 10000
--   DROP=drop_… SKU=… TOKENS=tokens.ndjson wrk -t2 -c100 -d10s -s loadtest/examples/buy.wrk.lua http://127.0.0.1:8080
--   npm run audit -- drop_…
--
-- Each thread of wrk has a Lua of its own: thread n takes every nth line of the file. A thread that has
-- used its lines up ends, so count the tokens generously. wrk itself reports 2xx only as "requests" and
-- everything else as "Non-2xx or 3xx responses"; the counts by status below say more.

local threads = {}

function setup(thread)
  thread:set("number", #threads)
  table.insert(threads, thread)
  for _, one in ipairs(threads) do
    one:set("together", #threads)
  end
end

function init()
  local drop = assert(os.getenv("DROP"), "set DROP to the id of an open drop")
  local sku = assert(os.getenv("SKU"), "set SKU to an item of the drop")
  file = assert(os.getenv("TOKENS"), "set TOKENS to a file of npm run tokens")
  path = "/v1/drops/" .. drop .. "/orders"
  body = string.format('{"sku":"%s","quantity":1,"payment":{"method":"wallet"}}', sku)
  -- Another run with the same buyers is to get new answers, not those of the first run.
  run = tostring(os.time())
  accepted, refused, turned_away = 0, 0, 0
end

-- wrk sets up one thread after the other and tries a request of the first before it knows the rest, so
-- the lines are read once more when there are more threads.
local function read()
  requests, taken, read_for = {}, 0, together
  local line = 0
  for text in io.lines(file) do
    local token = text:match('"token":"([^"]+)"')
    if token and line % together == number then
      table.insert(requests, { token = token, key = "wrk-" .. run .. "-" .. line })
    end
    if token then
      line = line + 1
    end
  end
  assert(#requests > 0, file .. " has too few tokens for the threads")
end

function request()
  if read_for ~= together then
    read()
  end
  taken = taken + 1
  local one = requests[taken]
  if not one then
    -- wrk must be given a request: the last buyer asks again with the last key, which sells nothing.
    wrk.thread:stop()
    one = requests[#requests]
  end
  return wrk.format("POST", path, {
    ["authorization"] = "Bearer " .. one.token,
    ["content-type"] = "application/json",
    ["idempotency-key"] = one.key,
  }, body)
end

function response(status)
  if status == 202 then
    accepted = accepted + 1
  elseif status == 429 or status >= 500 then
    turned_away = turned_away + 1
  else
    refused = refused + 1
  end
end

function done()
  local sums = { accepted = 0, refused = 0, turned_away = 0 }
  for _, thread in ipairs(threads) do
    for name in pairs(sums) do
      sums[name] = sums[name] + thread:get(name)
    end
  end
  io.write(string.format(
    "accepted %d, refused with a reason %d, turned away (429 and 5xx) %d\n",
    sums.accepted, sums.refused, sums.turned_away
  ))
end
