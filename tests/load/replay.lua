-- Requests from a file, for wrk: whole ones, as they are sent, each followed by the byte 1. It ends with the last one; as
-- many connections as there are may then have sent one of the first again. One alone is sent all the time.
-- wrk -t1 -s replay.lua URL -- FILE
-- The last line of the output is the result as JSON: requests that were sent, answers that came in time, their bytes with
-- headers, and how many were no success.

requests, sent, all = {}, -1, {} -- wrk asks for one before it begins

function setup(thread)
  all[#all + 1] = thread
end

function init(args)
  for one in io.open(args[1], "rb"):read("*a"):gmatch("[^\1]+") do requests[#requests + 1] = one end
end

function request()
  sent = sent + 1
  if sent == #requests and #requests > 1 then wrk.thread:stop() end
  return requests[sent % #requests + 1]
end

function done(summary, latency)
  local e = summary.errors
  print(string.format('{"sent": %d, "answers": %d, "seconds": %.3f, "bytes": %d, "errors": %d}', all[1]:get("sent"),
    summary.requests, summary.duration / 1e6, summary.bytes, e.connect + e.read + e.write + e.status + e.timeout))
end
