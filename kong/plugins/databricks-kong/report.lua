-- Hands over what the core says besides its answer: records to log plugins and to the log, metrics to Kong's page of them.

local core = require "kong.plugins.databricks-kong.core"
local errlog = require "ngx.errlog"

local FIELD = core.field
-- What a line of the log that holds a record begins with; the same as the filter's.
local MARK = "databricks_kong.audit "

local report = {}

-- Counters of Kong's Prometheus plugin by their place, where that plugin is, and gauges of when some of them counted last.
local counters = {}
local timestamps = {}
-- Whether nginx declares `$databricks_audit`; unknown until the first record.
local has_variable


-- Defines all metrics, so that they are on the page before they count.
function report.define_metrics(names)
  local ok, exporter = pcall(require, "kong.plugins.prometheus.exporter")
  local prometheus = ok and type(exporter) == "table" and exporter.get_prometheus and exporter.get_prometheus()
  if not prometheus then
    return
  end
  local function define(kind, name)
    local defined, metric = pcall(prometheus[kind], prometheus, "databricks_kong_" .. name,
                                  kind .. " " .. name .. " of the databricks-kong plugin")
    return defined and metric or nil
  end

  for place, name in ipairs(names) do
    local counter = define("counter", name.counter)
    if counter then
      pcall(counter.inc, counter, 0)
      counters[place] = counter
    end
    timestamps[place] = name.timestamp and define("gauge", name.timestamp)
  end
end


-- Puts what was counted since the last time on the page.
function report.counts()
  local said = core.take_counts()
  for at = 1, #said, 2 do
    local place = tonumber(said[at])
    local counter, timestamp = counters[place], timestamps[place]
    -- what the page does not take is lost, and no reason to fail
    if counter then
      pcall(counter.inc, counter, tonumber(said[at + 1]))
    end
    if timestamp then
      pcall(timestamp.set, timestamp, ngx.time())
    end
  end
end


local function assign_variable(value)
  ngx.var.databricks_audit = value
end


local function set_variable(value)
  if has_variable then
    ngx.var.databricks_audit = value
  elseif has_variable == nil then
    has_variable = pcall(assign_variable, value)
  end
end


local function known(text)
  return text ~= "" and text or nil
end


-- Puts a record where log plugins find it.
local function publish(said)
  local record = said[FIELD.record]
  local shared = kong.ctx.shared
  shared.databricks_audit = record
  shared.databricks_decision = said[FIELD.decision]
  shared.databricks_reason = said[FIELD.reason]
  shared.databricks_role = known(said[FIELD.role])
  shared.databricks_subject = known(said[FIELD.subject])
  shared.databricks_operation = known(said[FIELD.operation])
  set_variable(record)
  kong.log.set_serialize_value("databricks_audit", record)
end


-- Reports what came with an answer outside of a request.
function report.aside(said)
  local log = said[FIELD.log]
  if log ~= "" then
    for line in log:gmatch("[^\n]+") do
      kong.log.warn(line)
    end
  end
end


-- Reports what came with an answer about the request at hand.
function report.request(said)
  report.aside(said)
  if said[FIELD.record] ~= "" then
    publish(said)
  end
  if said[FIELD.line] ~= "" then
    errlog.raw_log(ngx.INFO, MARK .. said[FIELD.line])
  end
end


return report
