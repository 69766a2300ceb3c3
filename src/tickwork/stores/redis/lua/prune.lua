-- Delete closed rows that are kept no longer, of the next jobs. Answers how many, the uid of the last job that was
-- looked at ('': there is none behind it), and whether there may be more of that one.
-- ARGV: after which uid, how many jobs, how many rows, the time, the age and the count that are kept ('': any).

local moving = move_state()
if moving and moving ~= 'arrived' then  -- the rows are being counted
  return {0, '', 0}
end

local MOST_LEDGERS = 500  -- most of which have rows, or few jobs fire at all
local MOST_PASSED_OVER = 2000  -- old rows of one job that are kept all the same: open ones, and those that ended lately
local now, left = tonumber(ARGV[4]), tonumber(ARGV[3])
local jobs, deleted = tonumber(ARGV[2]), 0

local asked = {}  -- the jobs whose ledger a backfill asks, which must find it whole
for _, name in ipairs(call('ZRANGE', P .. ':backfills:open', 0, -1)) do
  asked[decode(call('HGET', P .. ':backfills', name)).job_uid] = true
end

local function delete(uid, id, rest, run)
  call('HDEL', P .. ':closed', id)
  call('HDEL', P .. ':logs', id)
  call('ZREM', P .. ':ledger', id)
  call('ZREM', P .. ':ledger:' .. uid, rest)
  if run[STATE] ~= 'succeeded' then
    call('ZREM', P .. ':state:' .. run[STATE], id)
  end
end

local function prune(uid)
  local text = call('HGET', P .. ':jobs', uid)
  local job = text and decode(text)
  local age, count = tonumber(ARGV[5]), tonumber(ARGV[6])
  if job and job[OF_KEEP] ~= null then
    age = job[OF_KEEP][1] ~= null and job[OF_KEEP][1] or nil
    count = job[OF_KEEP][2] ~= null and job[OF_KEEP][2] or nil
  end
  local ledger = P .. ':ledger:' .. uid
  local aged = age and now - age or -math.huge
  local nth = count and call('ZREVRANGE', ledger, count - 1, count - 1, 'WITHSCORES')[2]
  local counted = nth and tonumber(nth) or -math.huge
  local limit = math.max(aged, counted)
  if limit == -math.huge then
    return
  end
  local through, offset = nil, 0
  while left > 0 and offset < MOST_PASSED_OVER do
    local below = '(' .. string.format('%.0f', limit)
    local page = call('ZRANGEBYSCORE', ledger, '-inf', below, 'WITHSCORES', 'LIMIT', offset, 100)
    if #page == 0 then
      break
    end
    for place = 1, #page, 2 do
      local rest, fire_time = page[place], tonumber(page[place + 1])
      local id = uid .. '-' .. rest
      local row = call('HGET', P .. ':closed', id)
      local run = row and decode(row)
      local too_old = run and run[ENDED_AT] ~= null and run[ENDED_AT] < aged
      if run and left > 0 and (fire_time < counted or too_old) then
        delete(uid, id, rest, run)
        deleted, left = deleted + 1, left - 1
        local last = run[THROUGH] ~= null and run[THROUGH] or fire_time
        through = math.max(through or last, last)
      else
        offset = offset + 1
      end
    end
  end
  if not through then
    return
  end
  local before = call('HGET', P .. ':pruned', uid)
  call('HSET', P .. ':pruned', uid, string.format('%.0f', math.max(through, before and tonumber(before) or through)))
  if job and job[OF_DISPOSABLE] == 1 and job[OF_NEXT] == null and call('EXISTS', ledger) == 0 then
    forget_job(uid, job)
    call('HDEL', P .. ':pruned', uid)
  end
end

local looked, last = 0, ARGV[1]
for _, name in ipairs(call('ZRANGEBYLEX', P .. ':ledgers', '(' .. ARGV[1], '+', 'LIMIT', 0, MOST_LEDGERS)) do
  local uid = string.gsub(name, '^0+(.)', '%1')
  if looked == jobs then
    break
  end
  last = name
  local exists = call('EXISTS', P .. ':ledger:' .. uid) == 1
  if exists and not asked[uid] then
    prune(uid)
    looked = looked + 1
  end
  if call('HEXISTS', P .. ':jobs', uid) == 0 and call('EXISTS', P .. ':ledger:' .. uid) == 0 then
    call('ZREM', P .. ':ledgers', name)
  end
  if left == 0 then
    return {deleted, last, 1}
  end
end
local all = #call('ZRANGEBYLEX', P .. ':ledgers', '(' .. last, '+', 'LIMIT', 0, 1) == 0
return {deleted, (looked == jobs or not all) and last or '', 0}
