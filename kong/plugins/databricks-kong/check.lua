-- What the schema cannot see is checked by the core when a configuration is loaded, with the core's own words.

local core = require "kong.plugins.databricks-kong.core"
local encode = require "kong.plugins.databricks-kong.encode"


-- Whether Kong may take a configuration; else why not, a line for each error.
return function(entity)
  local ok, why = core.load()
  local is_control_plane = kong.configuration and kong.configuration.role == "control_plane"
  if not ok then
    if is_control_plane then
      kong.log.warn("configurations are checked on the data planes only: ", why)
      return true
    end
    return nil, why
  end
  local errors = core.check(encode.config(entity.config), is_control_plane)
  if not errors then
    return true
  end
  local lines = {}
  for at = 1, #errors, 2 do
    lines[#lines + 1] = (errors[at] == "" and "/" or errors[at]) .. ": " .. errors[at + 1]
  end
  return nil, table.concat(lines, "\n")
end
