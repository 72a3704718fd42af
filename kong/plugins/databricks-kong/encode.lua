-- Writes a configuration as the JSON text that the core reads. Kong's tables do not tell an empty list from an empty object, and hold
-- more than what the user wrote (`$refs`, ids): the schema says what is what.

local cjson = require "cjson"

local encode = {}

local null = ngx.null
-- What stands for a secret whose reference leads to nothing: the core refuses what needs it (SECRET_UNAVAILABLE).
local UNRESOLVED = '{"shared":"unresolved_vault_reference"}'


local function is_reference(value)
  return type(value) == "string" and value:sub(1, 9) == "{vault://"
end


-- The typed form of a secret has three keys, of which one is set; the core knows the first as a plain string.
local function secret(value, secrets)
  if type(value) == "string" then
    value = { value = value }
  end
  local plain = value.value
  if plain == nil or plain == null then
    local key = value.env ~= nil and value.env ~= null and "env" or "shared"
    return '{"' .. key .. '":' .. cjson.encode(tostring(value[key])) .. "}"
  end
  secrets[#secrets + 1] = { place = value, key = "value", value = plain }
  -- a reference that is still one is checked where nobody can follow it (a control plane)
  if plain == "" or is_reference(plain) then
    return UNRESOLVED
  end
  return cjson.encode(plain)
end


-- A value of any type. cjson writes fourteen digits of a number, not all of them more, and ids of workspaces have sixteen.
local function json(value)
  if type(value) == "number" then
    return string.format("%.16g", value)
  elseif type(value) ~= "table" or next(value) == nil then
    return cjson.encode(value)
  end
  local parts = {}
  if value[1] ~= nil then
    for at, one in ipairs(value) do
      parts[at] = json(one)
    end
    return "[" .. table.concat(parts, ",") .. "]"
  end
  for key, one in pairs(value) do
    parts[#parts + 1] = cjson.encode(tostring(key)) .. ":" .. json(one)
  end
  return "{" .. table.concat(parts, ",") .. "}"
end


local write


local function list(field, value, secrets)
  local parts = {}
  for at, one in ipairs(value) do
    parts[at] = write(field.elements, one, secrets)
  end
  return "[" .. table.concat(parts, ",") .. "]"
end


local function map(field, value, secrets)
  local parts = {}
  for key, one in pairs(value) do
    if key ~= "$refs" then
      parts[#parts + 1] = cjson.encode(tostring(key)) .. ":" .. write(field.values, one, secrets)
    end
  end
  return "{" .. table.concat(parts, ",") .. "}"
end


local function record(field, value, secrets)
  local parts = {}
  for _, member in ipairs(field.fields) do
    local name, kind = next(member)
    local one = value[name]
    if one ~= nil and one ~= null then
      parts[#parts + 1] = cjson.encode(name) .. ":" .. write(kind, one, secrets)
    end
  end
  return "{" .. table.concat(parts, ",") .. "}"
end


-- Whether a record of the schema is the typed form of a secret.
local function is_secret(field)
  local first = field.fields[1]
  return first ~= nil and first.value ~= nil and first.value.encrypted == true
end


function write(field, value, secrets)
  if field.type == "record" then
    return is_secret(field) and secret(value, secrets) or record(field, value, secrets)
  elseif field.type == "array" or field.type == "set" then
    return list(field, value, secrets)
  elseif field.type == "map" then
    return map(field, value, secrets)
  elseif field.type == "integer" then
    return string.format("%d", value)
  end
  return json(value)
end


-- The text of a configuration, and where its secrets stand.
function encode.config(conf)
  local schema = require "kong.plugins.databricks-kong.schema"
  for _, field in ipairs(schema.fields) do
    if field.config then
      local secrets = {}
      return write(field.config, conf, secrets), secrets
    end
  end
end


return encode
