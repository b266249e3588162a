-- Corrects what requests reserved, once they are over; in_process.py counts the same way.
-- KEYS: who sends this, then the counter of each change. ARGV: the number of this batch; for how many seconds a seat
-- is held; the time, where '' is this server's; and of each change its kind, its limit, its amount, the time of its
-- reservation, the end of its window and the request's id.
-- A batch that is sent again because its answer was lost does nothing: each sender's numbers ascend.

local MINUTE, FIELDS, DAY = 60, 6, 86400
local batch, hold, now = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
if not now then
  local time = redis.call('TIME')
  now = time[1] + time[2] / 1e6
end
if tonumber(redis.call('GET', KEYS[1]) or 0) >= batch then
  return 0
end
redis.call('SET', KEYS[1], batch, 'EX', DAY)

local function text(number)
  return string.format('%.17g', number)
end

for at = 2, #KEYS do
  local key, first = KEYS[at], 3 + (at - 2) * FIELDS
  local kind, limit, amount = ARGV[first + 1], tonumber(ARGV[first + 2]), tonumber(ARGV[first + 3])
  local since, ends, id = tonumber(ARGV[first + 4]), tonumber(ARGV[first + 5]), ARGV[first + 6]
  if kind == 'rate' then
    local found = redis.call('HMGET', key, 'full_at', 'was_full')
    local full_at, was_full = tonumber(found[1] or 0), tonumber(found[2] or 0)
    local seconds = amount * MINUTE / limit
    if seconds > 0 and full_at <= now then
      full_at, was_full = now, now
    end
    if seconds > 0 or since >= was_full then
      full_at = full_at + seconds
    end
    if full_at > now then
      redis.call('HSET', key, 'full_at', text(full_at), 'was_full', text(was_full))
      redis.call('EXPIRE', key, math.ceil(full_at - now) + 1)
    else
      redis.call('DEL', key)
    end
  elseif kind == 'seats' then
    redis.call('ZREM', key, id)
  elseif kind == 'hold' then
    redis.call('ZADD', key, 'XX', now + hold, id)
    redis.call('EXPIRE', key, math.ceil(hold) + 1)
  else
    local spent = tonumber(redis.call('GET', key) or 0) + amount
    redis.call('SET', key, text(spent), 'EX', math.max(math.ceil(ends - now), 0) + DAY)
  end
end
return 1
