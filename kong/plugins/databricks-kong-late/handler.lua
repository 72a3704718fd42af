-- The second of the two plugins: after all others it has what will be sent compared with what was decided on, byte for byte, and only
-- then gets the Databricks credential from the core and sets it.

local core = require "kong.plugins.databricks-kong.core"
local pair = require "kong.plugins.databricks-kong.pair"
local refuse = require "kong.plugins.databricks-kong.refuse"
local report = require "kong.plugins.databricks-kong.report"
local request = require "kong.plugins.databricks-kong.request"

local CODE = core.code
local FIELD = core.field
local SEND = core.send
local FIRST = "databricks-kong"

local Late = {
  -- below every plugin that changes requests; post-function has -1000
  PRIORITY = -2000,
  VERSION = core.version,
}


-- The body that was decided on, as it is now.
local function body_now(state)
  if state.longest_body then
    return request.body(state.longest_body)
  end
  return 2, ""
end


-- Sends the request on, or says what to answer.
local function send(state)
  if not state.is_allowed then
    error("no decision was made on the request", 0)
  end
  state.is_allowed = false
  request.aim_at(state.path)
  local kind, body = body_now(state)
  local code, said = core.on_send(state.live, kind, body, request.facts_now(state))
  if code == CODE.failed then
    error("the library failed", 0)
  end
  if code ~= CODE.send then
    report.request(said)
    return refuse.reply(said)
  end
  request.remove(said[FIELD.removals])
  core.set_headers()
  report.request(said)
  state.listens = said[SEND.listens] ~= "" and said[SEND.listens] or nil
end


function Late:configure(confs)
  pair.configure("databricks-kong-late", confs)
end


function Late:access()
  local state = pair.state()
  if not state and pair.runs(FIRST) == false then
    -- a route that is none of this package's
    return
  end
  local ok, reply = pcall(send, state or {})
  if not ok then
    kong.log.err(reply)
    request.aim_at_nothing()
    reply = refuse.failure(state and state.live)
  end
  if reply then
    return refuse.exit(reply)
  end
end


return Late
