-- asked: funnel {"order": "ordered", "window": "7_days", "steps": [{"event_collection": "files", "actor_property": "user.id", "with_actors": true}, {"event_collection": "files", "actor_property": "user.id", "filters": [{"property_name": "plan", "operator": "eq", "property_value": "pro"}]}, {"event_collection": "old", "actor_property": "plan"}]}

-- the events that count for a step, their actors and times
SELECT "$number", "$string", CAST("$mask" AS UTINYINT) AS "$mask", "$time" FROM (
-- the steps that each event counts for
SELECT "user.id:number" AS "$number", "user.id" AS "$string", CAST(((CASE WHEN TRUE AND TRUE THEN 1 ELSE 0 END) | (CASE WHEN "plan" = ? AND TRUE THEN 2 ELSE 0 END)) AS BIGINT) AS "$mask", epoch_us("keen.timestamp") AS "$time"
-- the events of the timeframe
FROM (
-- stored in files
SELECT "user.id", "user.id:number", "plan", make_timestamp(epoch_us("keen.timestamp")) AS "keen.timestamp" FROM read_parquet(?, hive_partitioning=false))
UNION ALL
-- the steps that each event counts for
SELECT CAST(NULL AS DOUBLE) AS "$number", "plan" AS "$string", CAST(((CASE WHEN TRUE AND TRUE THEN 4 ELSE 0 END)) AS BIGINT) AS "$mask", epoch_us("keen.timestamp") AS "$time"
-- the events of the timeframe
FROM (
-- stored in files
SELECT CAST(NULL AS VARCHAR) AS "plan", "keen.timestamp" FROM read_parquet(?, hive_partitioning=false)
UNION ALL
-- stored in files
SELECT "plan", "keen.timestamp" FROM read_parquet(?, hive_partitioning=false)
UNION ALL
-- stored in files
SELECT "plan", make_timestamp(epoch_us("keen.timestamp")) AS "keen.timestamp" FROM read_parquet(?, hive_partitioning=false)))
WHERE "$mask" <> 0 AND ("$number" IS NOT NULL OR "$string" IS NOT NULL)

-- values:
-- "pro"
-- ["purchases/1.parquet", "purchases/2.parquet"]
-- ["purchases/0.parquet"]
-- ["purchases/1.parquet", "purchases/2.parquet"]
-- ["purchases/3.parquet", "purchases/4.parquet", "purchases/5.parquet"]
