-- A stand-in for lua-resty-http, which Kong ships and no package of Debian's has: the calls that the plugin makes, with the same meaning.
-- HTTP/1.1 with a length or in chunks, kept-alive connections, plain or TLS.

local http = {}
http.__index = http


function http.new()
  return setmetatable({ socket = ngx.socket.tcp() }, http)
end


function http:set_timeouts(...)
  self.socket:settimeouts(...)
end


function http:connect(options)
  local ok, err = self.socket:connect(options.host, options.port)
  if not ok then
    return nil, err
  end
  if options.scheme == "https" then
    assert(options.ssl_verify == true and options.ssl_server_name)
    if self.socket:getreusedtimes() == 0 then
      ok, err = self.socket:sslhandshake(nil, options.ssl_server_name, true)
    end
  end
  return ok, err
end


local function chunks(socket)
  return coroutine.wrap(function()
    while true do
      local line, err = socket:receive("*l")
      local size = line and tonumber(line:match("^%x+"), 16)
      if not size then
        coroutine.yield(nil, err or "no chunk")
        return
      end
      local data
      data, err = socket:receive(size)
      if err or not socket:receive(2) then
        coroutine.yield(nil, err or "closed")
        return
      end
      if size == 0 then
        return
      end
      coroutine.yield(data)
    end
  end)
end


local function sized(socket, left)
  return function(most)
    if left == 0 then
      return nil
    end
    local data, err = socket:receive(math.min(left, most))
    left = data and left - #data or 0
    return data, err
  end
end


function http:request(options)
  local lines = { options.method .. " " .. options.path .. " HTTP/1.1" }
  for name, value in pairs(options.headers) do
    lines[#lines + 1] = name .. ": " .. value
  end
  if options.body or options.method == "POST" then
    lines[#lines + 1] = "content-length: " .. #(options.body or "")
  end
  local sent, err = self.socket:send(table.concat(lines, "\r\n") .. "\r\n\r\n" .. (options.body or ""))
  if not sent then
    return nil, err
  end
  local line
  line, err = self.socket:receive("*l")
  local status = line and tonumber(line:match("^HTTP/1%.%d (%d%d%d)"))
  if not status then
    return nil, err or "no status"
  end
  local headers = {}
  while true do
    line, err = self.socket:receive("*l")
    if not line then
      return nil, err
    elseif line == "" then
      break
    end
    local name, value = line:match("^([^:]+):%s*(.-)%s*$")
    headers[name:lower()] = value
  end
  self.closes = headers["connection"] == "close"
  local length = tonumber(headers["content-length"])
  local reader = headers["transfer-encoding"] and chunks(self.socket) or sized(self.socket, length or 0)
  return { status = status, headers = headers, body_reader = reader }
end


function http:set_keepalive(idle, pool)
  if self.closes then
    return self.socket:close()
  end
  return self.socket:setkeepalive(idle, pool)
end


function http:close()
  return self.socket:close()
end


return http
