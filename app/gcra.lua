-- One unit from each named bucket, exact over any number of processes: generic cell rate algorithm on Redis' own clock.
-- KEYS[i]  the bucket                    ARGV[2i-1]  microseconds between units     ARGV[2i]  units that may come at once
-- Answers, for each bucket, {allowed 0|1, units left, microseconds until one more is free, microseconds until all are}.
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local answers = {}
for i, bucket in ipairs(KEYS) do
  local interval, burst = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  local full = tonumber(redis.call('GET', bucket) or now)
  if full < now then full = now end
  local after = full + interval
  local allowed = after - now <= interval * burst
  if allowed then
    full = after
    redis.call('SET', bucket, string.format('%.0f', full), 'PX', math.ceil((full - now) / 1000))
  end
  local left = math.floor((interval * burst - (full - now)) / interval)
  local wait = 0
  if not allowed then wait = after - now - interval * burst end
  answers[i] = {allowed and 1 or 0, left, math.ceil(wait), math.ceil(full - now)}
end
return answers
