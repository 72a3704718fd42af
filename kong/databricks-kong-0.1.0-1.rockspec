-- `luarocks make kong/databricks-kong-0.1.0-1.rockspec` in this repository, after `make plugin`, installs the plugin as a rock.
package = "databricks-kong"
version = "0.1.0-1"
source = { url = "git+file://." }
description = {
  summary = "Lets callers into Databricks with the identity that their company's identity provider vouches for",
  license = "Apache-2.0",
}
supported_platforms = { "linux" }
dependencies = { "lua >= 5.1" }
build = {
  type = "builtin",
  modules = {
    ["kong.plugins.databricks-kong.callout"] = "kong/plugins/databricks-kong/callout.lua",
    ["kong.plugins.databricks-kong.check"] = "kong/plugins/databricks-kong/check.lua",
    ["kong.plugins.databricks-kong.configs"] = "kong/plugins/databricks-kong/configs.lua",
    ["kong.plugins.databricks-kong.core"] = "kong/plugins/databricks-kong/core.lua",
    ["kong.plugins.databricks-kong.encode"] = "kong/plugins/databricks-kong/encode.lua",
    ["kong.plugins.databricks-kong.handler"] = "kong/plugins/databricks-kong/handler.lua",
    ["kong.plugins.databricks-kong.headers"] = "kong/plugins/databricks-kong/headers.lua",
    ["kong.plugins.databricks-kong.interface"] = "kong/plugins/databricks-kong/interface.lua",
    ["kong.plugins.databricks-kong.node"] = "kong/plugins/databricks-kong/node.lua",
    ["kong.plugins.databricks-kong.pair"] = "kong/plugins/databricks-kong/pair.lua",
    ["kong.plugins.databricks-kong.refuse"] = "kong/plugins/databricks-kong/refuse.lua",
    ["kong.plugins.databricks-kong.report"] = "kong/plugins/databricks-kong/report.lua",
    ["kong.plugins.databricks-kong.request"] = "kong/plugins/databricks-kong/request.lua",
    ["kong.plugins.databricks-kong.schema"] = "kong/plugins/databricks-kong/schema.lua",
    ["kong.plugins.databricks-kong-late.handler"] = "kong/plugins/databricks-kong-late/handler.lua",
    ["kong.plugins.databricks-kong-late.schema"] = "kong/plugins/databricks-kong-late/schema.lua",
  },
  install = { lib = { libdatabricks_kong = "target/plugin/libdatabricks_kong.so" } },
}
