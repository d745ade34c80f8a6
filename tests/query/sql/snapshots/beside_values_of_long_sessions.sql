-- beside values of long sessions

-- one value of each event
SELECT "price"
-- the events of the timeframe
FROM (
-- the session of each event, found by its actor and time
SELECT "$row".*, "$session0.duration.number" FROM (SELECT *
-- the events of the timeframe
FROM (
-- stored in files
SELECT "price", "plan", "user.id", "user.id:number", "paid", make_timestamp(epoch_us("keen.timestamp")) AS "keen.timestamp", epoch_us("keen.timestamp") AS "$us" FROM read_parquet(?, hive_partitioning=false) WHERE "keen.timestamp" >= make_timestamptz(1767225600000000) AND "keen.timestamp" < make_timestamptz(1767312000000000)
UNION ALL
-- in no file yet
SELECT "price", "plan", "user.id", "user.id:number", CAST(NULL AS BOOLEAN) AS "paid", "keen.timestamp", epoch_us("keen.timestamp") AS "$us" FROM "$tail0" WHERE "keen.timestamp" >= make_timestamp(1767225600000000) AND "keen.timestamp" < make_timestamp(1767312000000000))
-- that the filters keep
WHERE "plan" = ?) AS "$row"
LEFT JOIN "$sessions0" ON "user.id:number" IS NOT DISTINCT FROM "$sessions0"."$actor.number" AND "user.id" IS NOT DISTINCT FROM "$sessions0"."$actor.string" AND (CASE WHEN "paid" = ? THEN "$us" END) = "$sessions0"."$session_us")
-- that the filters keep
WHERE "$session0.duration.number" >= ?

-- values:
-- ["purchases/1.parquet"]
-- "pro"
-- true
-- 300.0
