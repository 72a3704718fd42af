-- Requests of the gateway's own, to identity providers and to Databricks: sent once for all who wait for the same, and those for tokens once
-- for all workers of the node.
--
-- A callout runs in a timer of its own. So it outlives the request that wanted it first, whose client may go away, and it has one
-- deadline for all of it, which the timeouts of sockets are not: each read begins them anew.

local core = require "kong.plugins.databricks-kong.core"
local node = require "kong.plugins.databricks-kong.node"
local http = require "resty.http"
local semaphore = require "ngx.semaphore"

local CALL = core.call
local ANSWERED, FAILED, TIMED_OUT, TRUNCATED, TOO_LONG, SEALED = 0, 1, 2, 3, 4, 5
local IDLE = 60 * 1000
local POOL = 64
local CHUNK = 16384

local callout = {}

-- Callouts under way, by what they share.
local under_way = {}


local function failed(why)
  return { outcome = FAILED, body = tostring(why) }
end


-- What the library wants sent, with names.
local function named(said)
  local headers = {}
  for at = CALL.headers, #said, 2 do
    headers[said[at]] = said[at + 1]
  end
  headers["host"] = said[CALL.authority]
  return {
    scheme = said[CALL.scheme],
    host = said[CALL.host],
    port = tonumber(said[CALL.port]),
    path = said[CALL.path],
    method = said[CALL.method],
    timeout = tonumber(said[CALL.timeout]),
    longest = tonumber(said[CALL.longest]),
    share = said[CALL.share],
    keep = said[CALL.keep],
    wanted = said[CALL.wanted],
    body = said[CALL.body],
    headers = headers,
  }
end


-- The whole body, or an outcome why not.
local function read_body(response, longest)
  local chunks, size = {}, 0
  local read = response.body_reader
  if not read then
    return ""
  end
  repeat
    local chunk, err = read(CHUNK)
    if err then
      return nil, TRUNCATED
    end
    if chunk then
      size = size + #chunk
      if size > longest then
        return nil, TOO_LONG
      end
      chunks[#chunks + 1] = chunk
    end
  until not chunk
  return table.concat(chunks)
end


-- The headers of an answer that the library wants.
local function wanted_headers(response, wanted)
  local headers = {}
  for name in wanted:gmatch("[^\n]+") do
    local value = response.headers[name]
    if value then
      headers[name] = type(value) == "table" and table.concat(value, ", ") or value
    end
  end
  return headers
end


-- One request and its answer. Certificates are verified against `lua_ssl_trusted_certificate`, names against the URL.
local function exchange(call)
  local client = http.new()
  client:set_timeouts(call.timeout, call.timeout, call.timeout)
  local ok, err = client:connect({
    scheme = call.scheme,
    host = call.host,
    port = call.port,
    ssl_verify = true,
    ssl_server_name = call.scheme == "https" and call.host or nil,
    pool_size = POOL,
  })
  if not ok then
    return failed(err)
  end
  local response
  response, err = client:request({
    method = call.method,
    path = call.path,
    headers = call.headers,
    body = call.body ~= "" and call.body or nil,
  })
  if not response then
    client:close()
    return failed(err)
  end
  local body, outcome = read_body(response, call.longest)
  if not body then
    client:close()
    return { outcome = outcome }
  end
  client:set_keepalive(IDLE, POOL)
  return { outcome = ANSWERED, status = response.status, headers = wanted_headers(response, call.wanted), body = body }
end


-- Sends a callout, until its deadline; what became of it.
local function send_until(deadline, call, turn)
  local done, reply = semaphore.new(0), nil
  local thread = ngx.thread.spawn(function()
    local ok, answer = pcall(exchange, call)
    reply = ok and answer or failed(answer)
    done:post(1)
  end)
  repeat
    -- a wait of less than a millisecond is none, and while nobody waits the time stands still
    local left = math.max(deadline - ngx.now(), 0.001)
    done:wait(turn and math.min(left, node.beat) or left)
    node.keep_turn(turn)
  until reply or ngx.now() >= deadline
  if not reply then
    ngx.thread.kill(thread)
    return { outcome = TIMED_OUT }
  end
  return reply
end


-- Hands an answer to the other workers, if there is something in it for them.
local function hand_over(call, began, reply)
  local age = math.max(ngx.now() - began, 0) * 1000
  local sealed, seconds = core.seal(call.keep, age, reply)
  if sealed and seconds > 0 then
    node.put(call.keep, sealed, seconds)
  end
end


-- What becomes of a callout until its deadline: another worker's answer to the same, or one of its own.
local function settle(call, useless)
  local deadline = ngx.now() + call.timeout / 1000
  local sealed, turn, is_late = node.wait(call.keep, useless, deadline)
  if sealed then
    return { outcome = SEALED, body = sealed }
  elseif is_late then
    return { outcome = TIMED_OUT }
  end
  local began = ngx.now()
  local reply = send_until(deadline, call, turn)
  if turn then
    hand_over(call, began, reply)
    node.leave(turn)
  end
  return reply
end


-- Runs a callout to its end, and tells all who wait.
local function run(_, call, flight)
  local ok, reply = pcall(settle, call, flight.useless)
  flight.reply = ok and reply or failed(reply)
  if under_way[call.share] == flight then
    under_way[call.share] = nil
  end
  -- nobody waits for what a request runs itself
  if flight.waiting > 0 then
    flight.arrived:post(flight.waiting)
  end
end


-- Sends what the library wants sent, or waits for the same callout of another; what became of it. `useless` is what another worker had kept,
-- if the library found it of no use.
function callout.send(said, useless)
  local call = named(said)
  local sealed = node.find(call.keep, useless)
  if sealed then
    return { outcome = SEALED, body = sealed }
  end
  local flight = call.share ~= "" and under_way[call.share] or nil
  local is_shared = flight ~= nil
  if not flight then
    flight = { arrived = semaphore.new(0), waiting = 0, useless = useless }
    if call.share ~= "" then
      under_way[call.share] = flight
    end
    -- in a worker that exits Kong's timers are taken and, once their threads have ended, run no more
    if ngx.worker.exiting() or not ngx.timer.at(0, run, call, flight) then
      run(nil, call, flight)
    end
  end
  if not flight.reply then
    flight.waiting = flight.waiting + 1
    -- the callout has its own deadline; this only covers a timer that never runs
    flight.arrived:wait(call.timeout / 1000 + 1)
  end
  local reply = flight.reply or { outcome = TIMED_OUT }
  return {
    outcome = reply.outcome,
    status = reply.status,
    headers = reply.headers,
    body = reply.body,
    shared = is_shared,
  }
end


-- Sends what the library wants sent, and then what it wants sent in view of the answer, until it wants no more. `hear` takes `whose` and an
-- answer, and gives a code and what was said; it is the last of these that this gives.
function callout.converse(code, said, hear, whose)
  local useless
  while code == core.code.call do
    local reply = callout.send(said, useless)
    if reply.outcome == SEALED then
      useless = reply.body
    end
    code, said = hear(whose, reply)
  end
  return code, said
end


return callout
