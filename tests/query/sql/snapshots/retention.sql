-- asked: retention {"starting_event": {"event_collection": "purchases"}, "actor_property": "user.id", "timeframe": {"start": "2026-01-01", "end": "2026-02-01"}, "interval": "weekly"}

-- the periods in which each actor was active, as bits
SELECT bit_or(CAST(1 AS BIGINT) << "$period") FROM (
-- the interval of each event, by where intervals begin
SELECT "$number", "$string", CAST((CASE WHEN "$us" < 1767484800000000 THEN 0 ELSE (1 + floor(("$us" - (1767484800000000)) / 604800000000)) END) AS INTEGER) AS "$period" FROM (
-- the events that count for a step, their actors and times
SELECT "$number", "$string", "$time" AS "$us" FROM (
-- the steps that each event counts for
SELECT "user.id:number" AS "$number", "user.id" AS "$string", CAST(((CASE WHEN TRUE AND TRUE THEN 1 ELSE 0 END)) AS BIGINT) AS "$mask", epoch_us("keen.timestamp") AS "$time"
-- the events of the timeframe
FROM (
-- stored in files
SELECT "user.id", "user.id:number", make_timestamp(epoch_us("keen.timestamp")) AS "keen.timestamp" FROM read_parquet(?, hive_partitioning=false)
UNION ALL
-- stored in files
SELECT "user.id", "user.id:number", make_timestamp(epoch_us("keen.timestamp")) AS "keen.timestamp" FROM read_parquet(?, hive_partitioning=false) WHERE "keen.timestamp" >= make_timestamptz(1767225600000000) AND "keen.timestamp" < make_timestamptz(1769904000000000)
UNION ALL
-- in no file yet
SELECT "user.id", "user.id:number", "keen.timestamp" FROM "$tail0" WHERE "keen.timestamp" >= make_timestamp(1767225600000000) AND "keen.timestamp" < make_timestamp(1769904000000000)))
WHERE "$mask" <> 0 AND ("$number" IS NOT NULL OR "$string" IS NOT NULL)))
GROUP BY "$number", "$string"

-- values:
-- ["purchases/1.parquet"]
-- ["purchases/2.parquet"]
