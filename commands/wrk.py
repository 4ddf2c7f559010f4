"""`wrk` as the load generator, where it is installed: it costs less of the machine than one in Python.

Used by `bench`. It gets the same requests in the same mix as a Lua script, but tells neither the kinds' latencies nor
what is wrong with an answer.
"""

import contextlib
import json
import math
import pathlib
import re
import subprocess
import tempfile

from commands.load import clock
from commands.shopper import LINES, PATIENCE
from core.system import Stop

SCRIPT = """
local lists = {%(lists)s}
local products = {%(products)s}
local stocked = {%(stocked)s}
local order = {%(order)s}
local run, head = %(run)s, %(head)s
local threads = {}

function setup(thread)
  thread:set("number", #threads)
  table.insert(threads, thread)
end

function init()
  math.randomseed(%(seed)d + number)
  sent = {lists = 0, products = 0, carts = 0, adds = 0}
  adds, at = 0, math.random(#order)
end

local function cart(method, path, adds, rest)
  return method .. " " .. path .. head .. "Session-ID: " .. run .. "-" .. number .. "-" .. math.floor(adds / %(lines)d)
    .. "\\r\\n" .. rest
end

function request()
  at = at %% #order + 1
  local kind = order[at]
  sent[kind] = sent[kind] + 1
  if kind == "lists" then return lists[math.random(#lists)] end
  if kind == "products" then return products[math.random(#products)] end
  if kind == "carts" then return cart("GET", "/api/cart", math.max(adds - 1, 0), "\\r\\n") end
  local body = '{"product_id":' .. stocked[(number * %(step)d + adds) %% #stocked + 1] .. ',"quantity":1}'
  local full = cart("POST", "/api/cart/items", adds,
    "Content-Type: application/json\\r\\nContent-Length: " .. #body .. "\\r\\n\\r\\n" .. body)
  adds = adds + 1
  return full
end

function done(summary, latency)
  local sums, made = {lists = 0, products = 0, carts = 0, adds = 0}, {}
  for _, thread in ipairs(threads) do
    for kind, n in pairs(thread:get("sent")) do sums[kind] = sums[kind] + n end
    table.insert(made, thread:get("adds"))
  end
  local e = summary.errors
  io.write(string.format('JSON {"requests":%%d,"us":%%d,"mean":%%f,"p50":%%d,"p95":%%d,"p99":%%d,' ..
    '"status":%%d,"connect":%%d,"read":%%d,"write":%%d,"timeout":%%d,' ..
    '"lists":%%d,"products":%%d,"carts":%%d,"adds":%%d,"made":[%%s]}\\n',
    summary.requests, summary.duration, summary.requests > 0 and latency.mean or 0,
    latency:percentile(50), latency:percentile(95), latency:percentile(99),
    e.status, e.connect, e.read, e.write, e.timeout,
    sums.lists, sums.products, sums.carts, sums.adds, table.concat(made, ",")))
end
"""


def script(mix):
    """Return the Lua script that sends the requests of a Mix."""

    def strings(requests):
        return ",\n".join(json.dumps(request.decode("ascii")) for request in requests)  # Lua reads ASCII as JSON has it

    head = mix.get("").removeprefix(b"GET ").removesuffix(b"\r\n")
    return SCRIPT % {
        "lists": strings(mix.lists),
        "products": strings(mix.products),
        "stocked": ",".join(map(str, mix.stocked)),
        "order": ",".join(f'"{kind}"' for kind in mix.order),
        "run": json.dumps(mix.run),
        "head": json.dumps(head.decode("ascii")),
        "lines": LINES,
        "step": len(mix.stocked) // 7 + 1,
        "seed": mix.seed % 2**31,
    }


def run(program, url, mix, *, seconds, connections, threads, meanwhile):
    """Run wrk against the shop at `url`; return what its script's done() prints, as a dict.

    Times in µs; `made`: for each thread how many adds it sent. `meanwhile(start, over)` is called while wrk works.
    """
    whole = math.ceil(seconds)  # wrk takes no fractions
    with tempfile.TemporaryDirectory(prefix="bodega-bench-") as folder:
        path = pathlib.Path(folder, "shopper.lua")
        path.write_text(script(mix), encoding="ascii")
        options = [f"-t{threads}", f"-c{connections}", f"-d{whole}s", f"--timeout={PATIENCE}s", f"--script={path}"]
        process = subprocess.Popen(
            [program, *options, url], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        latest = clock() + whole + 3 * PATIENCE
        try:
            with contextlib.suppress(KeyboardInterrupt):  # wrk has heard Ctrl-C too: it says what it has seen so far
                meanwhile(clock(), lambda: process.poll() is not None or clock() > latest)
                process.wait(max(0, latest - clock()))
            said = process.communicate(timeout=PATIENCE)[0].decode(errors="replace")
        except subprocess.TimeoutExpired:
            raise Stop(f"{program} does not come to an end. Try without it: python3 server.py bench --no-wrk") from None
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    found = re.search(r"^JSON (\{.*\})$", said, re.M)
    if not found:
        last = (said.strip().splitlines() or ["nothing"])[-1]
        raise Stop(f"{program} failed; it said: {last}. Try without it: python3 server.py bench --no-wrk")
    return json.loads(found[1])
