-- asked: retention {"starting_event": {"event_collection": "files", "filters": [{"property_name": "plan", "operator": "eq", "property_value": "pro"}]}, "returning_event": {"event_collection": "old", "actor_property": "plan"}, "actor_property": "user.id", "timeframe": {"start": "2026-01-01", "end": "2026-02-01"}, "interval": "weekly", "first_in": "history", "group_by": "tags"}

-- the events that count for a step, their actors and times
SELECT "$number", "$string", CAST("$mask" AS UTINYINT) AS "$mask", "$time", "$value0.list" FROM (
-- the steps that each event counts for
SELECT "user.id:number" AS "$number", "user.id" AS "$string", CAST(((CASE WHEN "plan" = ? AND TRUE THEN 1 ELSE 0 END)) AS BIGINT) AS "$mask", epoch_us("keen.timestamp") AS "$time", "tags" AS "$value0.list"
-- the events of the timeframe
FROM (
-- stored in files
SELECT "user.id", "user.id:number", "plan", "tags", make_timestamp(epoch_us("keen.timestamp")) AS "keen.timestamp" FROM read_parquet(?, hive_partitioning=false)
UNION ALL
-- stored in files
SELECT "user.id", "user.id:number", "plan", CAST(NULL AS VARCHAR) AS "tags", make_timestamp(epoch_us("keen.timestamp")) AS "keen.timestamp" FROM read_parquet(?, hive_partitioning=false) WHERE "keen.timestamp" < make_timestamptz(1769904000000000))
-- that the filters keep
WHERE "plan" = ?
UNION ALL
-- the steps that each event counts for
SELECT CAST(NULL AS DOUBLE) AS "$number", "plan" AS "$string", CAST(((CASE WHEN TRUE AND TRUE THEN 2 ELSE 0 END)) AS BIGINT) AS "$mask", epoch_us("keen.timestamp") AS "$time", "tags" AS "$value0.list"
-- the events of the timeframe
FROM (
-- stored in files
SELECT CAST(NULL AS VARCHAR) AS "plan", "tags", "keen.timestamp" FROM read_parquet(?, hive_partitioning=false)
UNION ALL
-- stored in files
SELECT "plan", "tags", "keen.timestamp" FROM read_parquet(?, hive_partitioning=false)
UNION ALL
-- stored in files
SELECT "plan", CAST(NULL AS VARCHAR) AS "tags", make_timestamp(epoch_us("keen.timestamp")) AS "keen.timestamp" FROM read_parquet(?, hive_partitioning=false)
UNION ALL
-- stored in files
SELECT "plan", "tags", make_timestamp(epoch_us("keen.timestamp")) AS "keen.timestamp" FROM read_parquet(?, hive_partitioning=false)))
WHERE "$mask" <> 0 AND ("$number" IS NOT NULL OR "$string" IS NOT NULL)

-- values:
-- "pro"
-- ["purchases/1.parquet"]
-- ["purchases/2.parquet"]
-- "pro"
-- ["purchases/0.parquet"]
-- ["purchases/1.parquet", "purchases/2.parquet"]
-- ["purchases/3.parquet"]
-- ["purchases/4.parquet", "purchases/5.parquet"]
