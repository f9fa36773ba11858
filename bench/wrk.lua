-- Asks with the requests of a file, one after another and again from the first.
--
--   wrk … -s wrk.lua http://127.0.0.1:PORT/ -- FILE FIRST
--
-- The file holds whole requests, each after a line with its length in bytes. With "chain" instead of
-- FIRST, each request has the place "@REFRESH_TOKEN@", and FILE.tokens the first tokens, a line each:
-- every answer brings the token for a later request.
local threads = {}

function setup(thread)
   table.insert(threads, thread)
end

function init(args)
   requests, at = {}, 0
   local file = assert(io.open(args[1], "rb"))
   for length in file:lines() do
      table.insert(requests, file:read(tonumber(length)))
   end
   file:close()
   if args[2] ~= "chain" then
      at = tonumber(args[2])
      if #requests == 1 then
         local only = requests[1]
         request = function() return only end
      end
      return
   end
   tokens = {}
   for token in io.lines(args[1] .. ".tokens") do
      table.insert(tokens, token)
   end
   local before, after = requests[1]:match("^(.*)@REFRESH_TOKEN@(.*)$")
   request = function()
      return before .. (table.remove(tokens) or "none-is-left") .. after
   end
   response = function(status, headers, body)
      local token = body:match('"refresh_token": ?"([^"]+)"')
      if token then table.insert(tokens, 1, token) end
   end
end

function request()
   at = at % #requests + 1
   return requests[at]
end

function done(summary, latency, asked)
   local errors = summary.errors
   io.write(string.format(
      'JSON {"requests": %d, "seconds": %.6f, "failed": %d, "statuses": %d, "timeouts": %d, ' ..
      '"p50_ms": %.4f, "p99_ms": %.4f, "next": %d}\n',
      summary.requests, summary.duration / 1e6, errors.connect + errors.read + errors.write,
      errors.status, errors.timeout, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
      threads[1]:get("at") or 0))
end
