-- What the two plugins of this package know of each other: `databricks-kong`, which decides before other plugins run, and
-- `databricks-kong-late`, which compares and sends after them. Only together they let a request through.

local new_table = require "table.new"

local pair = {}

local scopes = {}


-- Kong tells each plugin its configurations whenever they change (phase `configure`, Kong 3.5 and later).
function pair.configure(name, confs)
  local scope = { routes = {}, services = {}, everywhere = false }
  for _, conf in ipairs(confs or {}) do
    if conf.route_id then
      scope.routes[conf.route_id] = true
    elseif conf.service_id then
      scope.services[conf.service_id] = true
    elseif not conf.consumer_id then
      scope.everywhere = true
    end
  end
  scopes[name] = scope
end


-- Whether a plugin runs for the request at hand; nothing where Kong has not told.
function pair.runs(name)
  local scope = scopes[name]
  if not scope then
    return nil
  end
  if scope.everywhere then
    return true
  end
  local route, service = kong.router.get_route(), kong.router.get_service()
  return (route ~= nil and scope.routes[route.id] or service ~= nil and scope.services[service.id]) or false
end


-- What the first has to say to the second of the request at hand.
function pair.state()
  return ngx.ctx.databricks_kong
end


-- A state with room for what becomes of a request: `live`, the core's handle of it; `id`, `scheme`, `path`, `is_framed`, see request.lua;
-- `longest_body`, of what may be read of a body that was decided on; `is_allowed`, until it is sent; `listens`, the statuses to be told of.
function pair.new_state()
  local state = new_table(0, 8)
  ngx.ctx.databricks_kong = state
  return state
end


return pair
