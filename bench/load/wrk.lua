-- Posts the lines of a file in turn: wrk -s bench/load/wrk.lua URL -- FILE KEY. Ends with a line of JSON.
local bodies, headers, at, offset = {}, {}, 0, 0
local threads = {}

function setup(thread)
  thread:set("number", #threads)
  table.insert(threads, thread)
end

function init(arguments)
  for line in io.lines(arguments[1]) do
    bodies[#bodies + 1] = line
  end
  headers["X-Api-Key"], headers["Content-Type"] = arguments[2], "application/json"
  at = number * 7919
end

function request()
  at = at + 1
  return wrk.format("POST", nil, headers, bodies[at % #bodies + 1])
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "seconds": %f, "p50_ms": %f, "p99_ms": %f, "max_ms": %f, "failed": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    latency.max / 1e3, errors.status + errors.connect + errors.read + errors.write + errors.timeout))
end
