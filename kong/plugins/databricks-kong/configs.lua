-- From the configuration as Kong hands it over to the core's handle of it.

local core = require "kong.plugins.databricks-kong.core"
local encode = require "kong.plugins.databricks-kong.encode"
local ffi = require "ffi"

-- Seconds
local LONGEST_REST = 60

local configs = {}

-- By Kong's table of the configuration, which is another one after each change. An entry must not lead back to its key.
local entries = setmetatable({}, { __mode = "k" })


-- Kong writes values of vaults that changed into the table that it has.
local function has_changed(entry)
  for _, secret in ipairs(entry.secrets) do
    if secret.place[secret.key] ~= secret.value then
      return true
    end
  end
  return false
end


local function log_errors(errors)
  kong.log.err("the configuration is invalid; every request is refused until it is mended:")
  for at = 1, #errors, 2 do
    kong.log.err(errors[at], ": ", errors[at + 1])
  end
end


local function open(conf)
  local text, secrets = encode.config(conf)
  local entry = { secrets = secrets }
  local handle, said = core.open(text)
  if not handle then
    log_errors(said)
    return entry
  end
  entry.handle = handle
  entry.shared = said
  entry.has_one_provider = #conf.identity_providers == 1
  -- closed once nobody knows this entry any more; requests under way keep what they need
  entry.guard = ffi.gc(ffi.new("char[1]"), function()
    core.close(handle)
  end)
  return entry
end


-- The entry of a configuration: `handle` (nothing if it is invalid), `shared`, the names in kong.ctx.shared that it needs, and whether it
-- `has_one_provider`.
function configs.entry(conf)
  local entry = entries[conf]
  if not entry or (entry.secrets[1] and has_changed(entry)) then
    entry = open(conf)
    entries[conf] = entry
  end
  return entry
end


-- Opens a configuration anew, after the library forgot it in a panic in one of its ticks. These rest then, the longer the more often it
-- happens: with each panic the worker forgets its tokens and keys, too.
function configs.reopen(conf)
  local failures = (entries[conf].failures or 0) + 1
  entries[conf] = nil
  local entry = configs.entry(conf)
  entry.failures = failures
  entry.rests_until = ngx.now() + math.min(2 ^ (failures - 1), LONGEST_REST)
  return entry
end


-- Whether the ticks of a configuration rest.
function configs.rests(entry)
  return entry.rests_until ~= nil and ngx.now() < entry.rests_until
end


-- All configurations that are in use.
function configs.each()
  return pairs(entries)
end


return configs
