-- For `luacheck kong/plugins kong/konnect tests/native/lua`: LuaJIT in nginx, and Kong's one global.
std = "ngx_lua"
self = false
max_line_length = 150
read_globals = { kong = { other_fields = true, fields = { ctx = { other_fields = true, read_only = false } } } }
files["tests/native/lua/standin.lua"] = { globals = { "kong" } }
-- written by `make schema`
files["kong/plugins/databricks-kong/schema.lua"] = { max_line_length = false }
files["kong/konnect/databricks-kong.lua"] = { max_line_length = false }
files["kong/plugins/databricks-kong/interface.lua"] = { max_line_length = false }
