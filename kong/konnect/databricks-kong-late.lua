-- For Konnect's control plane; Kong's own is kong/plugins/databricks-kong-late/schema.lua.

return {
  name = "databricks-kong-late",
  fields = {
    { config = { type = "record", fields = {} } },
  },
}
