-- The first of the two plugins: verifies, decides and exchanges before other plugins run, so that they see a verified identity and no
-- credential. It holds no logic: the core says what to do, and this does it.

local callout = require "kong.plugins.databricks-kong.callout"
local configs = require "kong.plugins.databricks-kong.configs"
local core = require "kong.plugins.databricks-kong.core"
local node = require "kong.plugins.databricks-kong.node"
local pair = require "kong.plugins.databricks-kong.pair"
local refuse = require "kong.plugins.databricks-kong.refuse"
local report = require "kong.plugins.databricks-kong.report"
local request = require "kong.plugins.databricks-kong.request"

local find = string.find

local CODE = core.code
local FIELD = core.field
local LATE = "databricks-kong-late"
local TICK = 1

local Handler = {
  -- above rate-limiting (910), acl (950) and the other plugins that count or decide by who is asking
  PRIORITY = 1005,
  VERSION = core.version,
}

-- In the process that forks the workers: the library remembers its environment, which workers do not have.
core.load()


-- Gives the core the answer to a callout of a request.
local function hear(live, reply)
  local code, said = core.on_callout(live, reply)
  if code == CODE.call then
    report.request(said)
  end
  return code, said
end


-- Does what the core asks for until it has decided; its last word.
local function settle(state, code, said)
  repeat
    report.request(said)
    if code == CODE.call then
      code, said = callout.converse(code, said, hear, state.live)
    else
      state.longest_body = tonumber(said[core.await_body.longest])
      code, said = core.on_body(state.live, request.body(state.longest_body))
    end
  until code ~= CODE.call and code ~= CODE.await_body
  return code, said
end


-- Makes the verified caller known to the plugins that follow. Two providers may call two people by one name.
local function authenticate(entry, said)
  local subject = said[FIELD.subject]
  if subject == "" then
    return
  end
  kong.client.authenticate(nil, { id = entry.has_one_provider and subject or said[FIELD.provider] .. ":" .. subject })
  if said[FIELD.role] ~= "" then
    ngx.ctx.authenticated_groups = { said[FIELD.role] }
  end
end


-- The core's request for a configuration, which it may have forgotten.
local function begin(conf)
  local entry = configs.entry(conf)
  local live = entry.handle and core.begin(entry.handle)
  if entry.handle and not live then
    entry = configs.reopen(conf)
    live = entry.handle and core.begin(entry.handle)
  end
  return entry, live
end


-- Decides; an answer if the request goes no further.
local function decide(conf, state)
  if pair.runs(LATE) == false then
    error("the plugin " .. LATE .. " is not enabled for this route", 0)
  end
  if not request.has_its_own_path() then
    error("kong's router gave this request the path of another: give the route `paths`", 0)
  end
  local entry, live = begin(conf)
  if not entry.handle then
    return refuse.invalid_configuration()
  end
  state.live = live or error("the library takes no request", 0)
  local code, said = core.on_headers(live, request.shared_secrets(entry.shared), request.facts(state))
  if code ~= CODE.failed then
    -- before anything is waited for
    request.remove(said[FIELD.removals])
  end
  if code == CODE.call or code == CODE.await_body then
    code, said = settle(state, code, said)
  end
  if code == CODE.reply then
    authenticate(entry, said)
    report.request(said)
    return refuse.reply(said)
  elseif code ~= CODE.allowed then
    error("the library failed", 0)
  end
  authenticate(entry, said)
  report.request(said)
  request.aim_at_nothing()
  state.is_allowed = true
end


function Handler:init_worker()
  local names, why = core.load()
  if not names then
    kong.log.err("every request is refused: ", why)
    return
  end
  -- once the Prometheus plugin, whose priority is lower, has begun
  ngx.timer.at(0, function()
    report.define_metrics(names)
  end)
  ngx.timer.every(TICK, Handler.tick)
  if not node.is_there() and ngx.worker.id() == 0 and ngx.worker.count() > 1 then
    kong.log.notice("no shared dictionary `databricks_kong`: each worker obtains tokens for itself")
  end
end


function Handler:configure(confs)
  pair.configure("databricks-kong", confs)
  if not core.is_loaded() then
    return
  end
  for _, conf in ipairs(confs or {}) do
    configs.entry(conf)
  end
end


function Handler:access(conf)
  local state = pair.new_state()
  local ok, reply = pcall(decide, conf, state)
  if not ok then
    kong.log.err(reply)
    reply = refuse.failure(state.live)
  end
  if reply then
    state.is_allowed = false
    return refuse.exit(reply)
  end
end


function Handler:header_filter()
  local state = pair.state()
  if not state or not state.listens then
    return
  end
  local status = request.upstream_status()
  if not status or not find(state.listens, status, 1, true) or kong.response.get_source() ~= "service" then
    return
  end
  local reason = status == 403 and kong.service.response.get_header("x-databricks-reason-phrase") or ""
  local refused = core.on_response(state.live, status, reason)
  if refused then
    node.forget(refused)
  end
end


function Handler:log()
  local state = pair.state()
  if state and state.live then
    core.finish(state.live)
    state.live = nil
  end
end


-- Gives the core the answer to a callout of a tick.
local function hear_ahead(config, reply)
  local code, said = core.on_tick_callout(config, reply)
  if said then
    report.aside(said)
  end
  return code, said
end


-- Sends what a tick wants sent, until it wants no more.
local function fetch_ahead(entry, code, said)
  report.aside(said)
  callout.converse(code, said, hear_ahead, entry.handle)
end


-- The page of metrics; keys, feeds and tokens ahead of need, for each configuration; one callout of a configuration at a time.
function Handler.tick(is_exiting)
  report.counts()
  if is_exiting then
    return
  end
  local forgotten = {}
  for conf, entry in configs.each() do
    if entry.handle and not entry.is_ticking and not configs.rests(entry) then
      local code, said = core.on_tick(entry.handle)
      if code == CODE.failed then
        forgotten[#forgotten + 1] = conf
      elseif code == CODE.nothing then
        entry.failures = 0
      elseif code == CODE.call then
        entry.is_ticking = true
        ngx.thread.spawn(function()
          local ok, why = pcall(fetch_ahead, entry, code, said)
          if not ok then
            kong.log.err(why)
          end
          entry.is_ticking = false
        end)
      end
    end
  end
  for _, conf in ipairs(forgotten) do
    configs.reopen(conf)
  end
end


return Handler
