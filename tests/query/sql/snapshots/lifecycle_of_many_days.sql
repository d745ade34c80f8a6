-- asked: lifecycle {"event_collection": "files", "actor_property": "user.id", "timeframe": {"start": "2025-11-01", "end": "2026-02-01"}, "interval": "daily", "first_in": "timeframe"}

-- the periods in which each actor was active, as bits
SELECT bit_or(CASE WHEN "$period" BETWEEN 0 AND 61 THEN CAST(1 AS BIGINT) << ("$period" - 0) ELSE 0 END), bit_or(CASE WHEN "$period" BETWEEN 62 AND 123 THEN CAST(1 AS BIGINT) << ("$period" - 62) ELSE 0 END) FROM (
-- the interval of each event, by where intervals begin
SELECT "$number", "$string", (CASE WHEN "$us" < 1761955200000000 THEN 0 ELSE CAST(floor(("$us" - (1761955200000000)) / 86400000000) AS INTEGER) + 2 END) AS "$period" FROM (
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
SELECT "user.id", "user.id:number", make_timestamp(epoch_us("keen.timestamp")) AS "keen.timestamp" FROM read_parquet(?, hive_partitioning=false) WHERE "keen.timestamp" >= make_timestamptz(1761955200000000) AND "keen.timestamp" < make_timestamptz(1769904000000000)))
WHERE "$mask" <> 0 AND ("$number" IS NOT NULL OR "$string" IS NOT NULL)))
GROUP BY "$number", "$string"

-- values:
-- ["purchases/1.parquet"]
-- ["purchases/2.parquet"]
