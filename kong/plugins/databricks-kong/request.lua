-- The facts of the request at hand, as they are now: at the time of the decision, and again before it is sent.

local byte = string.byte
local find = string.find
local sub = string.sub
local clear_header = ngx.req.clear_header
local get_method = ngx.req.get_method
local var = ngx.var

local QUESTION_MARK = byte("?")
-- where the version stands in "HTTP/1.1", and the first that has bodies of which no header tells
local VERSION, FIRST_FRAMED = 6, byte("2")
-- Leads nowhere, here and in a workspace.
local NOWHERE = "/.well-known/databricks-kong/undecided"

local request = {}


-- The host's own name of the request.
function request.id()
  return var.kong_request_id or var.request_id or ""
end


-- The target as Kong will send it: after all plugins it appends the query to `upstream_uri` (kong/runloop/handler.lua, access.after).
local function target(path)
  if byte(ngx.ctx.request_uri or var.request_uri, -1) == QUESTION_MARK or var.is_args == "?" then
    return path .. "?" .. (var.args or "")
  end
  return path
end


-- The path of the target, as Kong has it now.
function request.path()
  return var.upstream_uri
end


-- Whether the path that Kong is about to send is this request's. Where a route matches by host only, Kong's router may give a request the
-- path of another, for a moment after its workers began; such a route changes no path, so it can be told from the request line.
function request.has_its_own_path()
  local route = kong.router.get_route()
  if not route or (route.paths and #route.paths > 0) or var.request_uri:find("#", 1, true) then
    return true
  end
  local path = kong.request.get_path()
  return var.upstream_uri:sub(-#path) == path
end


-- Aims the request at nothing until it is decided on and compared.
function request.aim_at_nothing()
  var.upstream_uri = NOWHERE
end


-- Aims a request at `path` again, if it still leads nowhere; whoever changed that meanwhile is found out by the comparison.
function request.aim_at(path)
  if var.upstream_uri == NOWHERE then
    var.upstream_uri = path
  end
end


-- Whether there is a body that no header announces: since HTTP/2 a request need not say how long it is.
local function has_unannounced_body()
  if var.http_content_length then
    return false
  end
  local content_type = var.http_content_type
  if content_type and sub(content_type, 1, 16) == "application/grpc" then
    return true
  end
  ngx.req.read_body()
  return ngx.req.get_body_data() ~= nil or ngx.req.get_body_file() ~= nil
end


-- The secrets that other plugins put into kong.ctx.shared; nothing if none are asked for.
function request.shared_secrets(names)
  if #names == 0 then
    return nil
  end
  local found = {}
  local shared = kong.ctx.shared
  for _, name in ipairs(names) do
    if type(shared[name]) == "string" then
      found[name] = shared[name]
    end
  end
  return found
end


-- What the core looks at besides the headers: id, method, target, scheme, certificate, whether there is a body. What of it nobody can change
-- is kept in `state`, and the path. One by one, since a table for each request costs more than what is in it.
function request.facts(state)
  local is_framed = (byte(var.server_protocol or "", VERSION) or 0) >= FIRST_FRAMED
  local has_body = is_framed and has_unannounced_body()
  state.id, state.scheme, state.path, state.is_framed = request.id(), var.scheme, var.upstream_uri, is_framed
  return state.id, get_method(), target(state.path), state.scheme, var.ssl_client_raw_cert or "", has_body
end


-- The same of the same request at a later time.
function request.facts_now(state)
  local has_body = state.is_framed and has_unannounced_body()
  return state.id, get_method(), target(var.upstream_uri), state.scheme, "", has_body
end


-- The status that the workspace answered with, the last one if it was asked more than once; nothing if nobody answered.
function request.upstream_status()
  local status = var.upstream_status
  return status and tonumber(sub(status, -3))
end


local function read_file(path, longest)
  local file = io.open(path, "rb")
  if not file then
    return 2, ""
  end
  local body = file:read(longest + 1)
  file:close()
  if not body then
    return 2, ""
  elseif #body > longest then
    return 1, ""
  end
  return 0, body
end


-- The whole body, however it is kept: a kind (see core.on_body) and its bytes.
function request.body(longest)
  local announced = tonumber(var.http_content_length)
  if announced and announced > longest then
    return 1, ""
  end
  ngx.req.read_body()
  local body = ngx.req.get_body_data()
  if body then
    if #body > longest then
      return 1, ""
    end
    return 0, body
  end
  local path = ngx.req.get_body_file()
  if path then
    return read_file(path, longest)
  end
  return 0, ""
end


-- Takes headers off, names a line each.
function request.remove(names)
  local begin = 1
  while begin <= #names do
    local finish = find(names, "\n", begin, true) or #names + 1
    clear_header(sub(names, begin, finish - 1))
    begin = finish + 1
  end
end


return request
