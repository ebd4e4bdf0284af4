"""What Redis does in one step, so that processes cannot overtake each other between looking and counting.

State of a corp × API is a hash: epoch (made new when the hash was lost), width (calls at once), run (successes since it last
changed), bad (failures in a row), cut (when it was last halved), hold, closed, scope, strikes and struck (the closed window), m
and h (calls by window), d (calls today), r (refusals today). Places are a sorted set of running calls, scored by when they
lapse. The state of an address × API has closed, m and h.

A window is 12 buckets; 13 are summed, so that any stretch of a minute (an hour) anywhere keeps the limit, wherever WeCom's
own windows begin. Times are Unix seconds.
"""

_COMMON = """
local function number(text) return tonumber(text or 0) or 0 end
local function rolled(text, slot)
  local seen = text and cmsgpack.unpack(text) or {slot}
  local passed = math.max(0, slot - seen[1])
  if passed == 0 and text then return seen end
  local fresh = {math.max(slot, seen[1])}
  for i = 1, 13 do
    local from = i - passed
    fresh[1 + i] = from >= 1 and seen[1 + from] or 0
  end
  return fresh
end
local function sum(window)
  local total = 0
  for i = 2, 14 do total = total + window[i] end
  return total
end
local function until_free(window, total, allowed, seconds, now)
  local over, passed = total + 1 - allowed, 0
  while over > 0 and passed < 13 do
    over = over - window[14 - passed]
    passed = passed + 1
  end
  return (window[1] + passed) * seconds - now
end
local function of_day(text, day)
  local seen = text and cmsgpack.unpack(text) or {day, 0}
  return seen[1] == day and seen[2] or 0
end
local function milliseconds(seconds) return math.ceil(math.max(0, seconds) * 1000) end
"""

# KEYS: state, places, state of the address, uses of the subject (may be missing).
# ARGV: now, name, seconds a place is kept, and in one text (a long list costs the caller more): percent of places, ceiling, parts
#       of minute, hour, day, address minute, address hour, day, midnight, uses per subject, their seconds.
# Answers one text, for the same reason: `ok epoch width strikes`, else the reason and the milliseconds to wait.
ADMIT = (
    _COMMON
    + """
local now, name, given = tonumber(ARGV[1]), ARGV[2], {}
for word in string.gmatch(ARGV[4], '%S+') do given[#given + 1] = tonumber(word) end
local s = redis.call('HMGET', KEYS[1], 'epoch', 'width', 'closed', 'hold', 'm', 'h', 'd', 'strikes')
if not s[1] then return 'lost 0' end
local a = redis.call('HMGET', KEYS[3], 'closed', 'm', 'h')
local closed = math.max(number(s[3]), number(a[1]))
if closed > now then return 'closed ' .. milliseconds(closed - now) end
if number(s[4]) > now then return 'hold ' .. milliseconds(number(s[4]) - now) end
local windows = {
  {s[5], 5, given[3], KEYS[1], 'm'}, {s[6], 300, given[4], KEYS[1], 'h'},
  {a[2], 5, given[6], KEYS[3], 'm'}, {a[3], 300, given[7], KEYS[3], 'h'},
}
for i = 1, 4 do
  local row = windows[i]
  row[1] = rolled(row[1], math.floor(now / row[2]))
  local total = sum(row[1])
  if row[3] > 0 and total >= row[3] then return 'full ' .. milliseconds(until_free(row[1], total, row[3], row[2], now)) end
end
local day, today = given[8], nil
if given[5] > 0 then
  today = of_day(s[7], day)
  if today >= given[5] then return 'full ' .. milliseconds(given[9] - now) end
end
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
local width = math.min(number(s[2]), given[2])
if redis.call('ZCARD', KEYS[2]) >= math.max(1, math.ceil(width * given[1] / 100)) then return 'busy 0' end
if KEYS[4] then
  local kept = given[11]
  redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', now - kept)
  if redis.call('ZCARD', KEYS[4]) >= given[10] then
    local first = redis.call('ZRANGE', KEYS[4], 0, 0, 'WITHSCORES')
    return 'each ' .. milliseconds(tonumber(first[2]) + kept - now)
  end
  redis.call('ZADD', KEYS[4], now, name)
  redis.call('EXPIRE', KEYS[4], kept)
end
for i = 1, 4 do
  local row = windows[i]
  row[1][2] = row[1][2] + 1
end
if today then redis.call('HSET', KEYS[1], 'd', cmsgpack.pack({day, today + 1})) end
redis.call('HSET', KEYS[1], 'm', cmsgpack.pack(windows[1][1]), 'h', cmsgpack.pack(windows[2][1]))
redis.call('HSET', KEYS[3], 'm', cmsgpack.pack(windows[3][1]), 'h', cmsgpack.pack(windows[4][1]))
redis.call('EXPIRE', KEYS[3], 7200)
redis.call('ZADD', KEYS[2], now + tonumber(ARGV[3]), name)
redis.call('EXPIRE', KEYS[2], 600)
return 'ok ' .. s[1] .. ' ' .. width .. ' ' .. number(s[8])
"""
)

# A call that WeCom answered; nobody waits for a reply. KEYS: state, places. ARGV: name, when it began, ceiling.
DONE = """
local GROW_AFTER = 10
local running = redis.call('ZCARD', KEYS[2])
redis.call('ZREM', KEYS[2], ARGV[1])
local s = redis.call('HMGET', KEYS[1], 'epoch', 'width', 'run', 'strikes', 'struck')
if not s[1] then return end
local ceiling = tonumber(ARGV[3])
local width, run = math.min(tonumber(s[2]), ceiling), (tonumber(s[3] or 0) or 0) + 1
if run >= GROW_AFTER * width and width < ceiling and running * 2 >= width then width, run = width + 1, 0 end
redis.call('HSET', KEYS[1], 'width', width, 'run', run, 'bad', 0)
if tonumber(s[4] or 0) > 0 and tonumber(ARGV[2]) > tonumber(s[5]) then redis.call('HSET', KEYS[1], 'strikes', 0) end
redis.call('EXPIRE', KEYS[1], 172800)
"""

# KEYS: state, places, state of the address, uses of the subject (may be missing). ARGV: now, name, when it began, outcome, ceiling,
# limits of minute, hour, day, address minute, address hour, penalty, day, midnight. Outcomes: frequent (45009), crowded (45033),
# slow, busy, none. A call that had no effect gives the use of its subject back. Answers {0} when there is no state, {1 when something worth keeping changed, width, when the closed window ends, its scope, strikes}.
LEAVE = (
    _COMMON
    + """
local HALVE_AFTER, HOLD = 3, 1
local HALF_FULL = 0.5
local now, began, outcome = tonumber(ARGV[1]), tonumber(ARGV[3]), ARGV[4]
redis.call('ZREM', KEYS[2], ARGV[2])
if KEYS[4] and (outcome == 'none' or outcome == 'frequent' or outcome == 'crowded') then redis.call('ZREM', KEYS[4], ARGV[2]) end
if outcome == 'none' then return {0} end
local s = redis.call('HMGET', KEYS[1], 'epoch', 'width', 'bad', 'cut', 'strikes', 'struck', 'closed', 'scope')
if not s[1] then return {0} end
redis.call('EXPIRE', KEYS[1], 172800)
local width, bad, strikes = math.min(number(s[2]), tonumber(ARGV[5])), number(s[3]), number(s[5])
local changed, closed, scope = 0, number(s[7]), s[8] or ''
if outcome == 'frequent' or outcome == 'crowded' then
  local refused = redis.call('HGET', KEYS[1], 'r')
  local day = tonumber(ARGV[12])
  redis.call('HSET', KEYS[1], 'r', cmsgpack.pack({day, of_day(refused, day) + 1}))
end
if outcome == 'frequent' then
  if began <= number(s[6]) then return {0, width, tostring(math.max(closed, number(redis.call('HGET', KEYS[3], 'closed')))), scope, strikes} end
  local function fullness(key, field, seconds, limit)
    if limit <= 0 then return 0 end
    return sum(rolled(redis.call('HGET', key, field) or nil, math.floor(now / seconds))) / limit
  end
  local midnight = tonumber(ARGV[13]) - now
  -- The fullest window is taken for the one that was hit; when none is half full, somebody else spends, and the shortest is.
  local guesses = {
    {fullness(KEYS[1], 'm', 5, tonumber(ARGV[6])), 60, 'corp'}, {fullness(KEYS[3], 'm', 5, tonumber(ARGV[9])), 60, 'address'},
    {fullness(KEYS[1], 'h', 300, tonumber(ARGV[7])), 3600, 'corp'}, {fullness(KEYS[3], 'h', 300, tonumber(ARGV[10])), 3600, 'address'},
  }
  if tonumber(ARGV[8]) > 0 then
    local today = of_day(redis.call('HGET', KEYS[1], 'd') or nil, tonumber(ARGV[12]))
    guesses[5] = {today / tonumber(ARGV[8]), midnight, 'corp'}
  end
  local best, wait = HALF_FULL, 60
  scope = 'corp'
  for _, guess in ipairs(guesses) do
    if guess[1] > best then best, wait, scope = guess[1], guess[2], guess[3] end
  end
  strikes = strikes + 1
  if strikes == 2 then wait = math.max(wait, 300) end
  if strikes == 3 then wait = math.max(wait, 3600) end
  if strikes > 3 then wait = math.max(wait, 3600, midnight) end
  -- A penalty is a ban of the address, whatever our count says (platform reference A).
  if tonumber(ARGV[11]) > 0 then wait, scope = tonumber(ARGV[11]), 'address' end
  closed = now + wait
  redis.call('HSET', KEYS[1], 'strikes', strikes, 'struck', now, 'scope', scope, 'closed', closed, 'run', 0)
  if scope == 'address' then redis.call('HSET', KEYS[3], 'closed', closed) redis.call('EXPIRE', KEYS[3], 7200) end
  return {1, width, tostring(closed), scope, strikes}
end
bad = bad + 1
if outcome == 'busy' and bad < HALVE_AFTER then
  redis.call('HSET', KEYS[1], 'bad', bad, 'run', 0)
elseif began > number(s[4]) then
  local halved = math.max(1, math.floor(width / 2))
  if halved < width then width, changed = halved, 1 end
  redis.call('HSET', KEYS[1], 'width', width, 'run', 0, 'bad', 0, 'cut', now)
end
if outcome == 'crowded' then redis.call('HSET', KEYS[1], 'hold', now + HOLD) end
return {changed, width, tostring(closed), scope, strikes}
"""
)

# Put back what PostgreSQL kept, unless another process has. KEYS: state, state of the address.
# ARGV: epoch, width, closed, scope, strikes, struck. Answers the epoch in force.
SEED = """
local epoch = redis.call('HGET', KEYS[1], 'epoch')
if epoch then return epoch end
redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'width', ARGV[2], 'closed', ARGV[3], 'scope', ARGV[4], 'strikes', ARGV[5], 'struck', ARGV[6])
redis.call('EXPIRE', KEYS[1], 172800)
if ARGV[4] == 'address' and (tonumber(redis.call('HGET', KEYS[2], 'closed') or 0) or 0) < tonumber(ARGV[3]) then
  redis.call('HSET', KEYS[2], 'closed', ARGV[3])
  redis.call('EXPIRE', KEYS[2], 7200)
end
return ARGV[1]
"""

# Count what this process called before the state was lost. KEYS: state, state of the address.
# ARGV: now, calls of the last minute, of the last hour, of the day, day.
REJOIN = (
    _COMMON
    + """
local now, day = tonumber(ARGV[1]), tonumber(ARGV[5])
for _, key in ipairs(KEYS) do
  for field, row in pairs({m = {5, ARGV[2]}, h = {300, ARGV[3]}}) do
    local window = rolled(redis.call('HGET', key, field) or nil, math.floor(now / row[1]))
    window[2] = window[2] + tonumber(row[2])
    redis.call('HSET', key, field, cmsgpack.pack(window))
  end
end
if tonumber(ARGV[4]) > 0 then
  redis.call('HSET', KEYS[1], 'd', cmsgpack.pack({day, of_day(redis.call('HGET', KEYS[1], 'd') or nil, day) + tonumber(ARGV[4])}))
end
return 1
"""
)

# What a gauge shows. KEYS: state, places, state of the address. ARGV: now, day.
# Answers {calls of a minute, of an hour, today, width, running, closed, refusals today}.
LOOK = (
    _COMMON
    + """
local now, day = tonumber(ARGV[1]), tonumber(ARGV[2])
local s = redis.call('HMGET', KEYS[1], 'epoch', 'm', 'h', 'd', 'width', 'closed', 'r')
if not s[1] then return false end
local minute, hour = sum(rolled(s[2], math.floor(now / 5))), sum(rolled(s[3], math.floor(now / 300)))
local closed = math.max(number(s[6]), number(redis.call('HGET', KEYS[3], 'closed')))
local running = redis.call('ZCOUNT', KEYS[2], now, '+inf')
return {minute, hour, of_day(s[4], day), number(s[5]), running, tostring(closed), of_day(s[7], day)}
"""
)
