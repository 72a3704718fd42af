-- What the workers of a node share of tokens: sealed answers of token endpoints, and whose turn it is to ask for one.
--
-- Both lie in a dictionary that Kong's own configuration declares, if it does; see docs/install-kong-plugin.md. Nothing depends on it: what
-- is not there, or cannot be put there, each worker obtains by itself. What lies there is of use to this node's library only, which made the
-- key that seals it, and only under the name that it was sealed under.

local NAME = "databricks_kong"
local SEALED, TURN = "sealed:", "turn:"
-- Seconds for which a turn is another's without a sign of life. A worker that was killed gives none.
local LEASE = 1
-- Seconds between two looks.
local FIRST_PAUSE, LONGEST_PAUSE = 0.002, 0.05

local node = {
  -- how often whoever has the turn gives a sign of life
  beat = LEASE / 4,
}

local dictionary = ngx.shared[NAME]
local turns = 0
local has_complained = false


-- Says once in a worker that the dictionary does not take what it should hold.
local function complain(why)
  if not has_complained then
    has_complained = true
    kong.log.warn("the shared dictionary `", NAME, "` takes nothing more (", why, "): this worker obtains tokens for itself")
  end
end


-- Whether workers can share.
function node.is_there()
  return dictionary ~= nil
end


-- What is kept under a name, unless it is what turned out to be of no use.
function node.find(name, useless)
  if name == "" or not dictionary then
    return nil
  end
  local sealed = dictionary:get(SEALED .. name)
  return sealed ~= useless and sealed or nil
end


-- Waits for what another worker asks for, or for the turn to ask. Gives what was kept; or nothing, and the turn if there is one; or nothing,
-- nothing and true if there is no time left.
function node.wait(name, useless, deadline)
  if name == "" or not dictionary then
    return nil
  end
  local key, pause = TURN .. name, FIRST_PAUSE
  turns = turns + 1
  local mark = ngx.worker.pid() .. ":" .. turns
  while true do
    local has_turn, err = dictionary:add(key, mark, LEASE)
    -- whoever had the turn before may have put it there meanwhile
    local sealed = node.find(name, useless)
    local turn = has_turn and { key = key, mark = mark } or nil
    if sealed then
      node.leave(turn)
      return sealed
    elseif turn then
      return nil, turn
    elseif err ~= "exists" then
      complain(err)
      return nil
    elseif ngx.now() + pause >= deadline then
      return nil, nil, true
    end
    ngx.sleep(pause)
    pause = math.min(2 * pause, LONGEST_PAUSE)
  end
end


-- Gives a sign of life.
function node.keep_turn(turn)
  if turn and dictionary:get(turn.key) == turn.mark then
    dictionary:expire(turn.key, LEASE)
  end
end


-- Ends a turn.
function node.leave(turn)
  if turn and dictionary:get(turn.key) == turn.mark then
    dictionary:delete(turn.key)
  end
end


-- Keeps what the library sealed for some seconds.
function node.put(name, sealed, seconds)
  local ok, err = dictionary:set(SEALED .. name, sealed, seconds)
  if not ok then
    complain(err)
  end
end


-- Forgets what is kept under a name. Another worker may just have put something better there; then one more is asked for.
function node.forget(name)
  if dictionary then
    dictionary:delete(SEALED .. name)
  end
end


return node
