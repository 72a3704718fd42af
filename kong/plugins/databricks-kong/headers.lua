-- A request's headers as nginx has them at this moment, in one list that LuaJIT never looks into: of a table and two strings for each header
-- nothing is left but a pointer. So it is with values to set, the workspace's token among them, which is never a string of Lua's. The calls
-- and the form of the list are those of `ngx.req.get_headers` and `ngx.req.set_header` in lua-resty-core, which declares them.

local base = require "resty.core.base"
local ffi = require "ffi"
require "resty.core.request"

local C = ffi.C
local ffi_string = ffi.string
local get_request = base.get_request

local OK, DECLINED = base.FFI_OK, base.FFI_DECLINED

-- more than nginx takes by its default of 32 KB for all of them
local MOST = 1000
local ELEMENT, TEXT = "ngx_http_lua_ffi_table_elt_t", "ngx_http_lua_ffi_str_t"
local SIZE = ffi.sizeof(ELEMENT)

local list = ffi.new(ELEMENT .. "[?]", MOST)
local truncated = ffi.new("int[1]")
local complaint = base.get_errmsg_ptr()
-- names of headers that were set in this worker before
local was_set = {}

local headers = {}


local function is_like(theirs, ours, names)
  for their_name, our_name in pairs(names) do
    if ffi.offsetof(theirs, their_name) ~= ffi.offsetof(ours, our_name) then
      return false
    end
  end
  return ffi.sizeof(theirs) == ffi.sizeof(ours)
end


-- Whether the library reads the list as nginx writes it.
function headers.are_read_alike()
  return is_like(ELEMENT, "dk_header", { key = "name", value = "value" }) and is_like(TEXT, "dk_text", { len = "size", data = "data" })
end


-- The list, how many headers it has, and whether there are more. It is good until something of the request changes.
function headers.read()
  local request = get_request()
  local count = C.ngx_http_lua_ffi_req_get_headers_count(request, MOST, truncated)
  if count < 0 then
    error("the request's headers cannot be read", 0)
  end
  -- an element that is not written must not lead to another request's
  ffi.fill(list, count * SIZE)
  if C.ngx_http_lua_ffi_req_get_headers(request, list, count, 0) ~= 0 then
    error("the request's headers cannot be read", 0)
  end
  return list, count, truncated[0] ~= 0
end


-- Sets a header to `size` bytes at `value`, which nginx copies.
function headers.set(name, value, size)
  if not was_set[name] then
    -- Kong's own `set_header` sees to it that its variable of the name is read anew from then on, in all requests of the worker
    ngx.req.set_header(name, ffi_string(value, size))
    was_set[name] = true
    return
  end
  local code = C.ngx_http_lua_ffi_req_set_header(get_request(), name, #name, value, size, nil, 0, 1, complaint)
  if code ~= OK and code ~= DECLINED then
    error("the request's headers cannot be set", 0)
  end
end


return headers
