-- asked: sessions {"event_collection": "files", "actor_property": "user.id", "timeframe": {"start": "2026-01-01", "end": "2026-02-01"}}

-- the events that count for a step, their actors and times
SELECT "$number", "$string", CAST("$mask" AS UTINYINT) AS "$mask", "$time" FROM (
-- the steps that each event counts for
SELECT "user.id:number" AS "$number", "user.id" AS "$string", CAST(((CASE WHEN TRUE AND TRUE THEN 1 ELSE 0 END)) AS BIGINT) AS "$mask", epoch_us("keen.timestamp") AS "$time"
-- the events of the timeframe
FROM (
-- stored in files
SELECT "user.id", "user.id:number", make_timestamp(epoch_us("keen.timestamp")) AS "keen.timestamp" FROM read_parquet(?, hive_partitioning=false)
UNION ALL
-- stored in files
SELECT "user.id", "user.id:number", make_timestamp(epoch_us("keen.timestamp")) AS "keen.timestamp" FROM read_parquet(?, hive_partitioning=false) WHERE "keen.timestamp" >= make_timestamptz(1767223800000000) AND "keen.timestamp" < make_timestamptz(1769904000000000)))
WHERE "$mask" <> 0 AND ("$number" IS NOT NULL OR "$string" IS NOT NULL)

-- values:
-- ["purchases/1.parquet"]
-- ["purchases/2.parquet"]
