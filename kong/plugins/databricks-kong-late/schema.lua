-- Has nothing to configure: enable it once for all routes, or beside each `databricks-kong`.

local typedefs = require "kong.db.schema.typedefs"

return {
  name = "databricks-kong-late",
  fields = {
    { consumer = typedefs.no_consumer },
    { protocols = typedefs.protocols_http },
    { config = { type = "record", fields = {} } },
  },
}
