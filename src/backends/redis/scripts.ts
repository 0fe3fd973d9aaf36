import { createHash } from "node:crypto";

/** A step that Redis takes at once, whole. */
export interface Script {
  readonly lua: string;
  readonly sha: string;
}

/*
 * Of a room there are, all with an expiry:
 *
 *   {room}:meta       hash: epoch, head, term (see term.ts), life, until, oldest, parent and fork
 *   {room}:log        stream: ids are <offset>-<time>, fields b (body), a (at), x (except)
 *   {room}:key:…      hash for each key of a publish: life, offset, until, print, result
 *
 * `until` is when the record is void by the engine's clock; the expiry only clears it away. `life` is the first epoch of
 * a log that forks went on from, so that keys outlive a fork and not a flush. `oldest` is a time that no entry is older
 * than, so that most appends need not look.
 *
 * What can fail (a key of another type, no memory left) comes before the first write: a script that fails has done nothing.
 *
 * Where Redis has no memory left, it refuses what takes some, but only as a script's first write. So `append` begins with
 * such a one, and is refused; the others begin with one that takes none, and go on: who joins or comes back is served.
 */

/** KEYS: 1 term, 2 meta, 3 log. ARGV: 1 term, 2 time (empty: the engine's), 3 a new epoch, 4 and 5 the known position, 6 keep.ms. */
const prelude = `
local now = tonumber(ARGV[2])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end

local function digits(number)
  return string.format('%.0f', number)
end

local function refusal()
  local stored = redis.call('GET', KEYS[1])
  if stored == ARGV[1] then return nil end
  if stored then return redis.error_reply('TERM another life of the data began') end
  redis.call('SET', KEYS[1], ARGV[1], 'PX', 86400000)
end

-- The room as it stands; where it is void, a new one, or nil where none is wanted.
local function openRoom(create)
  local got = redis.call('HMGET', KEYS[2], 'epoch', 'head', 'term', 'until', 'oldest', 'life')
  local room = {
    epoch = got[1], head = tonumber(got[2] or ''), void = tonumber(got[4] or ''), oldest = tonumber(got[5] or ''), life = got[6]
  }
  if got[1] and not (room.head and room.void and room.life) then
    return nil, redis.error_reply('FOREIGN ' .. KEYS[2] .. ' holds something else')
  end
  -- Whoever knows the epoch is subscribed: under them it does not end.
  if not got[1] or (room.void <= now and got[1] ~= ARGV[4]) then
    if not create then return nil end
    if not got[1] and redis.call('EXISTS', KEYS[2]) == 1 then
      return nil, redis.error_reply('FOREIGN ' .. KEYS[2] .. ' holds something else')
    end
    redis.call('HSET', KEYS[2], 'epoch', ARGV[3])
    redis.call('UNLINK', KEYS[2], KEYS[3])
    redis.call('HSET', KEYS[2], 'epoch', ARGV[3], 'head', 0, 'term', ARGV[1], 'life', ARGV[3], 'until', 0)
    return { epoch = ARGV[3], head = 0, void = 0, life = ARGV[3] }
  end
  -- After another life of the data, or where the log has less than was seen of it, nobody can know what was lost.
  if got[3] ~= ARGV[1] or (got[1] == ARGV[4] and room.head < tonumber(ARGV[5])) then
    redis.call('HSET', KEYS[2], 'epoch', ARGV[3], 'term', ARGV[1], 'parent', got[1], 'fork', got[2])
    room.epoch = ARGV[3]
  end
  return room
end

local function keepUntil(room, ms)
  room.void = math.max(room.void, now + ms)
  redis.call('PEXPIRE', KEYS[2], digits(math.max(room.void - now, 1)))
  redis.call('HSET', KEYS[2], 'until', digits(room.void))
end

-- Drops what is too old, from the oldest on, and stops at the first that is not.
local function trim(room)
  local since = now - tonumber(ARGV[6])
  while not (room.oldest and room.oldest >= since) do
    local page = redis.call('XRANGE', KEYS[3], '-', '+', 'COUNT', 50)
    if #page == 0 then
      room.oldest = nil
      return
    end
    local first
    for _, entry in ipairs(page) do
      local offset, time = string.match(entry[1], '^(%d+)-(%d+)$')
      first = tonumber(offset) + 1
      if tonumber(time) >= since then
        first, room.oldest = tonumber(offset), tonumber(time)
        break
      end
    end
    redis.call('XTRIM', KEYS[3], 'MINID', digits(first) .. '-0')
    if room.oldest then redis.call('HSET', KEYS[2], 'oldest', digits(room.oldest)) end
  end
end
`;

/** Gives nothing, or epoch, offset, fingerprint and result. */
const findKey = `
local function findKey(room, record)
  local got = redis.call('HMGET', record, 'life', 'offset', 'until', 'print', 'result')
  if got[1] ~= room.life or tonumber(got[3]) <= now then return nil end
  return { room.epoch, tonumber(got[2]), got[4], got[5] }
end
`;

/**
 * KEYS also: 4 the key's record of a publish that was sent before this one, without which it must not be kept, or the meta
 * again; 5 the record of its own key, if any. ARGV also: 7 keep.messages, 8 channel, 9 body, 10 at, 11 except; with
 * a key 12 fingerprint, 13 dedupeMs, 14 result, if any. Gives `kept`, epoch, offset; or `duplicate` and what `find` gives;
 * or `conflict`.
 */
export const append: Script = script(`${prelude}${findKey}
local refused = refusal()
if refused then return refused end
if KEYS[4] ~= KEYS[2] and redis.call('EXISTS', KEYS[4]) == 0 then
  return redis.error_reply('BEHIND an earlier publish was not kept')
end
local room, fault = openRoom(true)
if fault then return fault end
local dedupeMs = 0
if KEYS[5] then
  local found = findKey(room, KEYS[5])
  if found then
    if found[3] ~= ARGV[12] then return { 'conflict' } end
    return { 'duplicate', unpack(found, 1, 4) }
  end
  dedupeMs = tonumber(ARGV[13])
end
trim(room)
local offset = digits(room.head + 1)
local id = offset .. '-' .. digits(now)
if ARGV[11] == '' then
  redis.call('XADD', KEYS[3], 'MAXLEN', ARGV[7], id, 'b', ARGV[9], 'a', ARGV[10])
else
  redis.call('XADD', KEYS[3], 'MAXLEN', ARGV[7], id, 'b', ARGV[9], 'a', ARGV[10], 'x', ARGV[11])
end
redis.call('HSET', KEYS[2], 'head', offset, 'oldest', digits(room.oldest or now))
redis.call('PEXPIRE', KEYS[3], digits(math.max(tonumber(ARGV[6]), 1)))
keepUntil(room, math.max(tonumber(ARGV[6]), dedupeMs, 60000))
if KEYS[5] then
  redis.call('DEL', KEYS[5])
  redis.call('HSET', KEYS[5], 'life', room.life, 'offset', offset, 'until', digits(now + dedupeMs), 'print', ARGV[12])
  if ARGV[14] then redis.call('HSET', KEYS[5], 'result', ARGV[14]) end
  redis.call('PEXPIRE', KEYS[5], digits(math.max(dedupeMs, 1)))
end
redis.call('PUBLISH', ARGV[8], 'm' .. room.epoch .. ' ' .. offset .. ' ' .. ARGV[10] .. ' ' .. ARGV[11] .. '\\n' .. ARGV[9])
return { 'kept', room.epoch, room.head + 1 }
`);

/** KEYS also: 4 the key's record. Gives nothing, or epoch, offset, fingerprint and result. */
export const find: Script = script(`${prelude}${findKey}
local refused = refusal()
if refused then return refused end
local room, fault = openRoom(false)
return fault or (room and findKey(room, KEYS[4])) or {}
`);

/** ARGV also: 7 how long the room is remembered from now on. Gives epoch, head, trimmed, parent and fork. */
export const state: Script = script(`${prelude}
local refused = refusal()
if refused then return refused end
redis.call('PEXPIRE', KEYS[1], 86400000)
local room, fault = openRoom(true)
if fault then return fault end
trim(room)
keepUntil(room, tonumber(ARGV[7]))
local trimmed = room.head
local first = redis.call('XRANGE', KEYS[3], '-', '+', 'COUNT', 1)[1]
if first then trimmed = tonumber(string.match(first[1], '^%d+')) - 1 end
local since = redis.call('HMGET', KEYS[2], 'parent', 'fork')
return { room.epoch, room.head, trimmed, since[1], tonumber(since[2] or '') }
`);

/**
 * ARGV also: 7 limit, 8 `>` or `<`, 9 the offset that it is over or under (empty: from the newest); the epoch in 4, if it
 * matters. Gives entries as XRANGE and XREVRANGE do.
 */
export const read: Script = script(`${prelude}
local got = redis.call('HMGET', KEYS[2], 'epoch', 'oldest')
if not got[1] or (ARGV[4] ~= '' and got[1] ~= ARGV[4]) then return {} end
trim({ oldest = tonumber(got[2] or '') })
if ARGV[8] == '>' then
  return redis.call('XRANGE', KEYS[3], digits(tonumber(ARGV[9]) + 1), '+', 'COUNT', ARGV[7])
end
local last = ARGV[9] == '' and '+' or digits(tonumber(ARGV[9]) - 1)
return redis.call('XREVRANGE', KEYS[3], last, '-', 'COUNT', ARGV[7])
`);

/**
 * KEYS: 1 term, then the metas of rooms. ARGV: 1 term, 2 time, 3 how long they are remembered from now on, then a known
 * epoch and offset for each. Gives epoch and head for each: an empty epoch says that the state must be asked, a false
 * one that it cannot be told.
 */
export const heads: Script = script(`${prelude}
local refused = refusal()
if refused then return refused end
local answer = {}
for i = 2, #KEYS do
  local got = redis.pcall('HMGET', KEYS[i], 'epoch', 'head', 'term', 'until')
  local known, seen = ARGV[2 * i], tonumber(ARGV[2 * i + 1])
  local head, void = tonumber(got[2] or ''), tonumber(got[4] or '')
  if got.err then
    answer[#answer + 1], answer[#answer + 2] = '!', 0
  elseif not (head and void) or got[3] ~= ARGV[1] or (got[1] == known and head < seen) then
    answer[#answer + 1], answer[#answer + 2] = '', 0
  else
    if void < now + tonumber(ARGV[3]) then
      -- Longer than asked, so that most checks write nothing.
      local ms = digits(math.floor(tonumber(ARGV[3]) * 1.2))
      redis.call('PEXPIRE', KEYS[i], ms)
      redis.call('HSET', KEYS[i], 'until', digits(now + ms))
    end
    answer[#answer + 1], answer[#answer + 2] = got[1], head
  end
end
return answer
`);

/** KEYS: 1 term, 2 a key of this node's own. ARGV: 1 term, 2 time, 3 channel, 4 text. Writes, and gives how many heard. */
export const probe: Script = script(`${prelude}
local refused = refusal()
if refused then return refused end
redis.call('PEXPIRE', KEYS[1], 86400000)
redis.call('SET', KEYS[2], ARGV[4], 'PX', 60000)
return redis.call('PUBLISH', ARGV[3], ARGV[4])
`);

/** KEYS: 1 term. ARGV: 1 term, 2 for how long. Goes through where no memory is left, as SET does not. */
export const settle: Script = script(`
redis.call('UNLINK', KEYS[1])
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
`);

export const scripts: readonly Script[] = [append, find, state, read, heads, probe, settle];

function script(lua: string): Script {
  return { lua, sha: createHash("sha1").update(lua).digest("hex") };
}
