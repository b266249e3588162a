-- Grants all claims of one request, or none; in_process.py counts the same way.
-- KEYS: the counter of each claim. ARGV: the request's id; for how many seconds it holds a seat; the time, where '' is
-- this server's; and of each claim its kind, its limit, its amount, the end of its window and a seat's wait.
-- Gives the time and, of each claim, whether it is granted, what is left and the seconds of its standing.

local MINUTE, SLACK, FIELDS, DAY = 60, 1e-6, 5, 86400
local id, hold, now = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
if not now then
  local time = redis.call('TIME')
  now = time[1] + time[2] / 1e6
end

local function text(number)
  return string.format('%.17g', number)
end

local claims, granted, answer = {}, true, { text(now) }
for at, key in ipairs(KEYS) do
  local first = 3 + (at - 1) * FIELDS
  local claim = {
    key = key,
    kind = ARGV[first + 1],
    limit = tonumber(ARGV[first + 2]),
    amount = tonumber(ARGV[first + 3]),
    ends = tonumber(ARGV[first + 4]),
    wait = tonumber(ARGV[first + 5]),
  }
  if claim.kind == 'rate' then
    local found = redis.call('HMGET', key, 'full_at', 'was_full')
    claim.full_at, claim.was_full = tonumber(found[1] or 0), tonumber(found[2] or 0)
    local busy = math.max(claim.full_at - now, 0)
    local wait = busy + claim.amount * MINUTE / claim.limit - MINUTE
    claim.granted = wait <= SLACK
    claim.left = (MINUTE - busy) * claim.limit / MINUTE
    claim.seconds = claim.granted and busy or wait
  elseif claim.kind == 'seats' then
    redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
    claim.left = claim.limit - redis.call('ZCARD', key)
    claim.granted = claim.left >= 1
    claim.seconds = claim.wait
  else
    claim.left = math.max(claim.limit - tonumber(redis.call('GET', key) or 0), 0)
    claim.granted = claim.left > 0
    claim.seconds = claim.ends - now
  end
  granted = granted and claim.granted
  claims[at] = claim
end

for _, claim in ipairs(claims) do
  if not granted then
    -- Nothing is taken: a refused request leaves no trace.
  elseif claim.kind == 'rate' then
    if claim.full_at <= now then
      claim.full_at, claim.was_full = now, now
    end
    claim.full_at = claim.full_at + claim.amount * MINUTE / claim.limit
    claim.seconds = claim.full_at - now
    claim.left = math.max((MINUTE - claim.seconds) * claim.limit / MINUTE, 0)
    redis.call('HSET', claim.key, 'full_at', text(claim.full_at), 'was_full', text(claim.was_full))
    redis.call('EXPIRE', claim.key, math.ceil(claim.seconds) + 1)
  elseif claim.kind == 'seats' then
    redis.call('ZADD', claim.key, now + hold, id)
    redis.call('EXPIRE', claim.key, math.ceil(hold) + 1)
    claim.left, claim.seconds = claim.left - 1, 0
  else
    local spent = tonumber(redis.call('GET', claim.key) or 0) + claim.amount
    -- A day longer than its window, for requests that began in it and end after it.
    redis.call('SET', claim.key, text(spent), 'EX', math.max(math.ceil(claim.seconds), 0) + DAY)
    claim.left = math.max(claim.limit - spent, 0)
  end
  answer[#answer + 1] = claim.granted and '1' or '0'
  answer[#answer + 1] = text(claim.left)
  answer[#answer + 1] = text(claim.seconds)
end
return answer
