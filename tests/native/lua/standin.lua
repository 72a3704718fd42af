-- A stand-in for the parts of Kong that the plugin calls, so that nginx with its Lua module runs it where no Kong can be. It is no Kong:
-- it routes by path prefix, runs the plugins of a route in the order of their priority, and does by itself what Kong does between the last
-- plugin and the workspace (kong/runloop/handler.lua, access.after): the query behind `upstream_uri`, and the client's hop-by-hop headers.
-- What a real Kong does is seen with `tests/kong/run --native`.

local cjson = require "cjson"

local standin = {}

local routes = {}
local plugins = {}
local shipped
local counters = ngx.shared.counters

-- What the plugin asks Kong for (PDK). Each is as strict as Kong's own where the plugin could misuse it.
kong = {
  configuration = { role = "traditional" },
  log = setmetatable({}, { __index = function(_, level)
    local levels = { err = ngx.ERR, warn = ngx.WARN, notice = ngx.NOTICE, info = ngx.INFO, debug = ngx.DEBUG }
    local known = assert(levels[level], "no such level")
    return function(...)
      ngx.log(known, "[kong] ", ...)
    end
  end }),
  ctx = setmetatable({}, { __index = function(_, name)
    assert(name == "shared")
    ngx.ctx.shared = ngx.ctx.shared or {}
    return ngx.ctx.shared
  end }),
  client = {},
  response = {},
  router = {},
  service = { response = {} },
}

kong.log.set_serialize_value = function(name, value)
  ngx.ctx.serialized = ngx.ctx.serialized or {}
  ngx.ctx.serialized[name] = value
end

function kong.client.authenticate(consumer, credential)
  assert(ngx.get_phase() == "access")
  assert(consumer == nil and type(credential) == "table")
  ngx.ctx.authenticated_credential = credential
end

function kong.response.exit(status, body, headers)
  ngx.ctx.exited = true
  ngx.status = status
  for name, value in pairs(headers or {}) do
    ngx.header[name] = value
  end
  ngx.header["content-length"] = #body
  if ngx.req.get_method() ~= "HEAD" then
    ngx.print(body)
  end
  return ngx.exit(status)
end

function kong.response.get_source()
  return ngx.ctx.exited and "exit" or ngx.ctx.failed and "error" or "service"
end

kong.service.response.get_status = function()
  return ngx.status
end

kong.service.response.get_header = function(name)
  return ngx.header[name]
end

function kong.router.get_route()
  return { id = ngx.ctx.route.name, paths = { ngx.ctx.route.path } }
end

function kong.router.get_service()
  return { id = "service" }
end


-- The page of metrics of Kong's Prometheus plugin, one metric a name.
package.preload["kong.plugins.prometheus.exporter"] = function()
  local prometheus = {}
  function prometheus:counter(name)
    return { inc = function(_, by)
      counters:incr("kong_" .. name, by, 0)
    end }
  end
  function prometheus:gauge(name)
    return { set = function(_, to)
      counters:set("kong_" .. name, to)
    end }
  end
  return { get_prometheus = function()
    return prometheus
  end }
end


local function names_of(route)
  local names = {}
  for name in pairs(route.plugins) do
    names[#names + 1] = name
  end
  table.sort(names, function(one, other)
    return plugins[one].PRIORITY > plugins[other].PRIORITY
  end)
  return names
end


-- In the master: handlers are loaded and the routes' configurations checked, as `kong start` does.
function standin.init(path)
  local file = assert(io.open(path))
  local declared = cjson.decode(file:read("*a"))
  file:close()
  shipped = declared.shipped
  for _, name in ipairs(declared.plugins) do
    plugins[name] = require("kong.plugins." .. name .. ".handler")
    plugins[name].name = name
  end
  local check = require "kong.plugins.databricks-kong.check"
  for _, route in ipairs(declared.routes) do
    local config = route.plugins["databricks-kong"]
    if config and not route.unchecked then
      local ok, why = check({ config = config })
      assert(ok, route.name .. ": " .. tostring(why))
    end
    routes[#routes + 1] = route
  end
  table.sort(routes, function(one, other)
    return #one.path > #other.path
  end)
end


function standin.init_worker()
  for name, plugin in pairs(plugins) do
    if plugin.init_worker then
      plugin:init_worker()
    end
    if plugin.configure then
      local confs = {}
      for _, route in ipairs(routes) do
        local conf = route.plugins[name]
        if conf then
          conf.route_id = route.name
          confs[#confs + 1] = conf
        end
      end
      plugin:configure(#confs > 0 and confs or nil)
    end
  end
end


local function find(uri)
  for _, route in ipairs(routes) do
    if uri:sub(1, #route.path) == route.path then
      return route
    end
  end
end


-- What Kong does once no plugin can do anything any more.
local function after()
  local var = ngx.var
  if var.request_uri:byte(-1) == 63 or var.is_args == "?" then
    var.upstream_uri = var.upstream_uri .. "?" .. (var.args or "")
  end
  for name in (ngx.ctx.connection or ""):gmatch("[^,%s]+") do
    ngx.req.clear_header(name)
  end
end


function standin.access()
  local route = find(ngx.var.uri)
  if not route then
    return ngx.exit(404)
  end
  ngx.ctx.route = route
  local connection = ngx.req.get_headers()["connection"]
  ngx.ctx.connection = type(connection) == "table" and table.concat(connection, ",") or connection
  -- as Kong encodes a path that its router has decoded
  local rest = ngx.var.uri:sub(#route.path + 1)
  rest = rest:sub(1, 1) == "/" and rest or "/" .. rest
  ngx.var.upstream_uri = rest:gsub("[^%w%-%._~!$&'()*+,;=:@/%%]", function(char)
    return string.format("%%%02X", char:byte())
  end)
  -- Kong takes the path from the request line, nginx ends it at a `#`
  ngx.var.upstream_uri = ngx.var.upstream_uri .. (ngx.var.request_uri:match("^[^?]*(#.*)$") or "")
  for _, name in ipairs(names_of(route)) do
    local ok, why = pcall(plugins[name].access, plugins[name], route.plugins[name])
    if not ok then
      ngx.ctx.failed = true
      ngx.log(ngx.ERR, "[kong] ", name, " failed: ", why)
      ngx.status = 500
      ngx.header["content-type"] = "application/json; charset=utf-8"
      ngx.print('{"message":"An unexpected error occurred"}')
      return ngx.exit(500)
    end
  end
  after()
end


local function each(phase)
  local route = ngx.ctx.route
  for _, name in ipairs(route and names_of(route) or {}) do
    if plugins[name][phase] then
      plugins[name][phase](plugins[name], route.plugins[name])
    end
  end
end


function standin.header_filter()
  each("header_filter")
end


function standin.log()
  each("log")
  local shared = ngx.ctx.shared or {}
  local entry = { worker = ngx.worker.pid(), status = ngx.status, credential = ngx.ctx.authenticated_credential, serialized = ngx.ctx.serialized }
  for _, name in ipairs({ "audit", "decision", "reason", "role", "subject", "operation" }) do
    entry["databricks_" .. name] = shared["databricks_" .. name]
  end
  entry.variable = ngx.var.databricks_audit
  local file = assert(io.open(shipped, "a"))
  file:write(cjson.encode(entry), "\n")
  file:close()
end


function standin.metrics()
  for _, name in ipairs(counters:get_keys(0)) do
    ngx.say(name, " ", counters:get(name))
  end
end


-- What the workers share: on GET what is there, in hexadecimal; on POST the body is Lua that does something to it.
function standin.shared()
  local dictionary = ngx.shared.databricks_kong
  if ngx.req.get_method() == "POST" then
    ngx.req.read_body()
    setfenv(assert(loadstring(ngx.req.get_body_data())), setmetatable({ shared = dictionary }, { __index = _G }))()
  end
  local found = {}
  for _, key in ipairs(dictionary and dictionary:get_keys(0) or {}) do
    local kind, name = key:match("^(%w+):(.*)$")
    found[#found + 1] = { kind = kind, name = ngx.encode_base64(name), value = ngx.encode_base64(dictionary:get(key) or "") }
  end
  ngx.print(cjson.encode(found))
end


return standin
