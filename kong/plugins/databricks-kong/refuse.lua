-- Refusals: the core's own, and the one that is left where the core cannot be asked.

local core = require "kong.plugins.databricks-kong.core"
local report = require "kong.plugins.databricks-kong.report"
local request = require "kong.plugins.databricks-kong.request"

local REPLY = core.reply

local refuse = {}


-- What to answer, from what the core said.
function refuse.reply(said)
  local headers = {}
  for at = REPLY.headers, #said, 2 do
    headers[said[at]] = said[at + 1]
  end
  return { status = tonumber(said[REPLY.status]), body = said[REPLY.body], headers = headers }
end


-- Without the core: the same form, and no record, since there is nobody to write one.
local function plain()
  local id = request.id():gsub("[^%w%-_%.]", "")
  local message = "the gateway failed: its library is not there"
  return {
    status = 500,
    body = '{"details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","domain":"databricks-kong","metadata":{},"reason":"INTERNAL"},'
        .. '{"@type":"type.googleapis.com/google.rpc.RequestInfo","request_id":"' .. id .. '"}],'
        .. '"error_code":"INTERNAL_ERROR","message":"' .. message .. '"}',
    headers = {
      ["content-type"] = "application/json; charset=utf-8",
      ["cache-control"] = "no-store",
      ["x-databricks-reason-phrase"] = message,
      ["x-thriftserver-error-message"] = message,
      ["x-request-id"] = id,
    },
  }
end


local function asked(live, why)
  local code, said = core.refuse(live, why, request.id())
  if code ~= core.code.reply then
    return plain()
  end
  report.request(said)
  return refuse.reply(said)
end


-- The answer where the gateway itself failed. `live` is the core's request, if there is one.
function refuse.failure(live)
  local ok, reply = pcall(function()
    return core.is_loaded() and asked(live, 0) or plain()
  end)
  return ok and reply or plain()
end


-- The answer while the configuration cannot be used.
function refuse.invalid_configuration()
  return asked(nil, 1)
end


-- Answers the request; it goes no further.
function refuse.exit(reply)
  return kong.response.exit(reply.status, reply.body, reply.headers)
end


return refuse
