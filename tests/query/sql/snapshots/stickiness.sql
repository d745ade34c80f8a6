-- asked: stickiness {"event_collection": "files", "actor_property": "plan", "timeframe": {"start": "2026-01-01", "end": "2026-02-01"}}

-- the periods in which each actor was active, as bits
SELECT bit_or(CAST(1 AS BIGINT) << "$period") FROM (
-- the interval of each event, by where intervals begin
SELECT "$string", CAST(floor(("$us" - (1764720000000000)) / 86400000000) AS INTEGER) AS "$period" FROM (
-- the events that count for a step, their actors and times
SELECT "$string", "$time" AS "$us" FROM (
-- the steps that each event counts for
SELECT "plan" AS "$string", CAST(((CASE WHEN TRUE AND TRUE THEN 1 ELSE 0 END)) AS BIGINT) AS "$mask", epoch_us("keen.timestamp") AS "$time"
-- the events of the timeframe
FROM (
-- stored in files
SELECT "plan", make_timestamp(epoch_us("keen.timestamp")) AS "keen.timestamp" FROM read_parquet(?, hive_partitioning=false)
UNION ALL
-- stored in files
SELECT "plan", make_timestamp(epoch_us("keen.timestamp")) AS "keen.timestamp" FROM read_parquet(?, hive_partitioning=false) WHERE "keen.timestamp" >= make_timestamptz(1764720000000000) AND "keen.timestamp" < make_timestamptz(1769904000000000)))
WHERE "$mask" <> 0 AND ("$string" IS NOT NULL)))
GROUP BY "$string"

-- values:
-- ["purchases/1.parquet"]
-- ["purchases/2.parquet"]
