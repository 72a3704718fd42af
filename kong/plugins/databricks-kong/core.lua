-- The library as Lua calls it: found, checked to be the one that these files are made for, and asked.
--
-- An answer comes as a code (`core.code`) and a list of strings (`core.field` and the like name their places). Nothing that the
-- library handed out is kept by pointer: an answer is copied into memory of ours, and requests and configurations are numbers.

local ffi = require "ffi"
local headers = require "kong.plugins.databricks-kong.headers"
local interface = require "kong.plugins.databricks-kong.interface"
local new_table = require "table.new"

local ffi_new = ffi.new
local ffi_cast = ffi.cast
local ffi_string = ffi.string
local tonumber = tonumber

local LIBRARY = "libdatabricks_kong"

local core = {
  code = interface.code,
  field = interface.field,
  call = interface.call,
  await_body = interface.await_body,
  reply = interface.reply,
  send = interface.send,
  version = interface.version,
}

local FAILED = interface.code.failed
local GROW = interface.code.grow
local SEND = interface.code.send
local FIRST_HEADER = interface.send.headers

local library, load_error
local answer, memory, chars
local head, shared
local result, result_headers

ffi.cdef(interface.cdef)


local function give_memory(size)
  memory = ffi_new("uint32_t[?]", math.ceil(size / 4))
  chars = ffi_cast("char *", memory)
  answer.data = chars
  answer.room = size
end


-- The answer that lies in our memory, as a list of strings: all of it, or the first so many.
local function fields(most)
  local count = memory[0]
  local bytes = answer.data + 4 * (count + 1)
  count = most or count
  local list, begin = new_table(count, 0), 0
  for at = 1, count do
    local finish = memory[at]
    list[at] = finish == begin and "" or ffi_string(bytes + begin, finish - begin)
    begin = finish
  end
  return list
end


-- The code of an answer that lies in our memory, or did not fit into it.
local function hear_code(code)
  if code == GROW then
    give_memory(tonumber(answer.size))
    code = library.dk_again(answer)
  end
  return code
end


local function hear(code)
  code = hear_code(code)
  if code == FAILED then
    return FAILED
  end
  return code, fields()
end


-- Where the library is: in the directory that these files' `kong/` is in, as they are laid out together, or where Lua's own libraries are.
local function search()
  local here = debug.getinfo(1, "S").source:match("^@(.*)kong/plugins/databricks%-kong/core%.lua$")
  return here and package.searchpath(LIBRARY, here .. "?.so") or package.searchpath(LIBRARY, package.cpath)
end


local function find()
  local path = search()
  if not path then
    return nil, LIBRARY .. ".so is neither beside these files' kong/ nor on package.cpath (lua_package_cpath): " .. package.cpath
  end
  local ok, found = pcall(ffi.load, path)
  if not ok then
    return nil, path .. " cannot be loaded: " .. tostring(found)
  end
  local known, number = pcall(function()
    return tonumber(found.dk_interface())
  end)
  if not known or number ~= interface.number then
    return nil, path .. " is not of the same version as the Lua files (" .. interface.version .. "): install both from one package"
  end
  if not headers.are_read_alike() then
    return nil, "this version of lua-resty-core hands over headers in a form that " .. path .. " does not know"
  end
  return found
end


-- Loads the library, once; the names of its metrics, or nothing and why not. Some counters come with a gauge of when they counted last.
function core.load()
  if library then
    return core.metrics
  end
  if load_error then
    return nil, load_error
  end
  local found
  found, load_error = find()
  if not found then
    return nil, load_error
  end
  answer = ffi_new("dk_answer")
  give_memory(16384)
  head = ffi_new("dk_head")
  shared = ffi_new("dk_bytes[?]", 2 * 64)
  result = ffi_new("dk_callout_answer")
  result_headers = ffi_new("dk_bytes[?]", 2 * 16)
  library = found
  local code, said = hear(library.dk_start(answer))
  if code ~= interface.code.done then
    library, load_error = nil, "the library cannot start"
    return nil, load_error
  end
  core.metrics = {}
  for at = 2, #said, 2 do
    core.metrics[at / 2] = { counter = said[at], timestamp = said[at + 1] ~= "" and said[at + 1] or nil }
  end
  return core.metrics
end


-- Whether the library is there.
function core.is_loaded()
  return library ~= nil
end


local function set(span, text)
  span.data = text
  span.size = #text
end


-- Writes what `names` are in kong.ctx.shared; how many places of the list that takes.
local function write_shared(values)
  local count = 0
  for name, value in pairs(values) do
    if count < 2 * 64 then
      set(shared[count], name)
      set(shared[count + 1], value)
      count = count + 2
    end
  end
  return count
end


-- What request.lua gathered. The headers are those of this moment.
local function write_head(id, method, target, scheme, certificate, has_body, secrets)
  local list, count, has_more = headers.read()
  head.headers = ffi_cast("const dk_header *", list)
  head.headers_count = count
  head.has_more_headers = has_more and 1 or 0
  set(head.id, id)
  set(head.method, method)
  set(head.target, target)
  set(head.scheme, scheme)
  set(head.certificate, certificate)
  head.has_body = has_body and 1 or 0
  head.shared = shared
  head.shared_count = secrets and write_shared(secrets) or 0
end


-- `reply`: outcome, shared, status, headers, body; see interface.lua.
local function write_result(reply)
  result.outcome = reply.outcome
  result.shared = reply.shared and 1 or 0
  result.status = reply.status or 0
  local count = 0
  for name, value in pairs(reply.headers or {}) do
    if count < 2 * 16 then
      set(result_headers[count], name)
      set(result_headers[count + 1], value)
      count = count + 2
    end
  end
  result.headers = result_headers
  result.headers_count = count
  set(result.body, reply.body or "")
end


-- Nothing if a configuration can be used; else a list of pointers and texts by turns.
function core.check(text, lacks_environment)
  local code, said = hear(library.dk_config_check(text, #text, lacks_environment and 1 or 0, answer))
  if code == interface.code.done then
    return nil
  end
  return said or { "", "cannot be checked" }
end


-- The handle of a configuration and the names in kong.ctx.shared that it needs; or nothing and its errors, as `check`.
function core.open(text)
  local handle = tonumber(library.dk_config_open(text, #text, answer))
  if answer.size > answer.room then
    give_memory(tonumber(answer.size))
    library.dk_again(answer)
  end
  if handle == 0 then
    return nil, fields()
  end
  return handle, fields()
end


function core.close(config)
  library.dk_config_close(config)
end


-- The handle of a new request, or nothing.
function core.begin(config)
  local request = tonumber(library.dk_request_open(config))
  return request ~= 0 and request or nil
end


function core.finish(request)
  library.dk_request_close(request)
end


-- `secrets`: those of kong.ctx.shared by their names, if any are asked for; the rest is what `request.facts` gives.
function core.on_headers(request, secrets, id, method, target, scheme, certificate, has_body)
  write_head(id, method, target, scheme, certificate, has_body, secrets)
  local code, said = hear(library.dk_on_headers(request, head, answer))
  return code, said
end


-- `kind` 0: `body` is all of it; 1: it is too long; 2: it cannot be read.
function core.on_body(request, kind, body)
  return hear(library.dk_on_body(request, kind, body, #body, answer))
end


function core.on_callout(request, reply)
  write_result(reply)
  return hear(library.dk_on_callout(request, result, answer))
end


-- The body, and what `request.facts_now` gives. Where the request is to be sent, the headers to set are left to `set_headers`.
function core.on_send(request, kind, body, id, method, target, scheme, certificate, has_body)
  write_head(id, method, target, scheme, certificate, has_body)
  local code = hear_code(library.dk_on_send(request, head, kind, body, #body, answer))
  if code == FAILED then
    return FAILED
  end
  return code, fields(code == SEND and FIRST_HEADER - 1 or nil)
end


-- Sets the headers that the last answer wants set, which was SEND.
function core.set_headers()
  local count = memory[0]
  local bytes = answer.data + 4 * (count + 1)
  for at = FIRST_HEADER, count, 2 do
    local name, value = memory[at - 1], memory[at]
    headers.set(ffi_string(bytes + name, value - name), bytes + value, memory[at + 1] - value)
  end
end


-- The name under which other workers may have the token that the workspace refused, if it did.
function core.on_response(request, status, reason)
  local code, said = hear(library.dk_on_response(request, status, reason, #reason, answer))
  return code == interface.code.done and said[1] or nil
end


-- `why` 0: the plugin failed; 1: the configuration is invalid.
function core.refuse(request, why, id)
  return hear(library.dk_refuse(request or 0, why, id, #id, answer))
end


-- An answer sealed for the other workers, and for how many seconds it is of use to them; nothing if it is of none. `age`: milliseconds since it
-- was asked for.
function core.seal(name, age, reply)
  write_result(reply)
  local code, said = hear(library.dk_seal(name, #name, age, result, answer))
  if code ~= interface.code.done then
    return nil
  end
  return said[1], tonumber(said[2])
end


-- What was counted since the last call: places in the list of counters, and how often, by turns.
function core.take_counts()
  local _, said = hear(library.dk_take_counts(answer))
  return said or {}
end


function core.on_tick(config)
  return hear(library.dk_on_tick(config, answer))
end


function core.on_tick_callout(config, reply)
  write_result(reply)
  return hear(library.dk_on_tick_callout(config, result, answer))
end


return core
