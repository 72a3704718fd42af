-- What wrk sends: one request, with the bearer tokens of a file in turn.
--   wrk -s request.lua URL -- METHOD BODY TOKENS [NAME VALUE]…      `-` for no body and for no tokens
-- At the end it prints one line of JSON.

local requests, sent = {}, 0

local function headers_of(args)
  local headers = {}
  for number = 4, #args - 1, 2 do
    headers[args[number]] = args[number + 1]
  end
  return headers
end

function init(args)
  local method, body, tokens = args[1], args[2], args[3]
  if body == "-" then
    body = nil
  end
  if tokens == "-" then
    requests[1] = wrk.format(method, nil, headers_of(args), body)
    return
  end
  for token in io.lines(tokens) do
    local headers = headers_of(args)
    headers["Authorization"] = "Bearer " .. token
    requests[#requests + 1] = wrk.format(method, nil, headers, body)
  end
end

function request()
  sent = sent + 1
  return requests[(sent - 1) % #requests + 1]
end

function done(summary)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.timeout
  local line = '{"requests": %d, "microseconds": %d, "refused": %d, "failed": %d}'
  print(string.format(line, summary.requests, summary.duration, errors.status, failed))
end
