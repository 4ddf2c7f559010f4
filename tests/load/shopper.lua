-- A shopper's mix for wrk: 50 % lists, 10 % searches, 20 % products, 15 % carts, 5 % adds to a cart.
-- wrk -s shopper.lua URL -- SEED RUN SESSIONS PRODUCT_ID...
-- The carts are those of the sessions RUN-1 to RUN-SESSIONS. The last line of the output is the result as JSON.

local threads = 0
local words = {"sneakers", "wireless", "velora", "desk+lamp", "cream", "small", "espresso", "tent", "wool+blanket", "red+shoes"}
local orders = {"", "&sort=newest", "&sort=price", "&sort=-price", "&sort=name"}
local lists = {"", "?page=2", "?sort=price", "?sort=-price", "?sort=name", "?per_page=50", "?in_stock=true"}

function setup(thread)
  threads = threads + 1
  thread:set("number", threads)
end

function init(args)
  math.randomseed(tonumber(args[1]) * 1000 + number)
  run, sessions, products = args[2], tonumber(args[3]), {}
  for i = 4, #args do products[#products + 1] = args[i] end
end

function request()
  local dice, product = math.random(100), products[math.random(#products)]
  if dice <= 50 then return wrk.format("GET", "/api/products" .. lists[math.random(#lists)]) end
  if dice <= 60 then -- of a price of its own, so that nobody has asked for it before
    local words, order, least = words[math.random(#words)], orders[math.random(#orders)], math.random(1, 500) / 100
    return wrk.format("GET", "/api/products?search=" .. words .. order .. "&min_price=" .. string.format("%.2f", least))
  end
  if dice <= 80 then return wrk.format("GET", "/api/products/" .. product) end
  local headers = {["Session-ID"] = run .. "-" .. math.random(sessions)}
  if dice <= 95 then return wrk.format("GET", "/api/cart", headers) end
  headers["Content-Type"] = "application/json"
  return wrk.format("POST", "/api/cart/items", headers, '{"product_id": ' .. product .. ', "quantity": 1}')
end

function done(summary, latency)
  local e = summary.errors
  print(string.format('{"requests": %d, "seconds": %.3f, "p50": %.2f, "p99": %.2f, "errors": %d}', summary.requests,
    summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    e.connect + e.read + e.write + e.status + e.timeout))
end
