-- asked: paths {"events": [{"event_collection": "files", "by": "plan"}, {"event_collection": "old"}], "actor_property": "user.id", "to": {"event_collection": "files", "filters": [{"property_name": "paid", "operator": "eq", "property_value": true}]}}

-- the events that count for a step, their actors and times
SELECT "$number", "$string", CAST("$mask" AS UTINYINT) AS "$mask", "$time", "$value0.string" FROM (
-- the steps that each event counts for
SELECT "user.id:number" AS "$number", "user.id" AS "$string", CAST(((CASE WHEN TRUE AND TRUE THEN 1 ELSE 0 END) | (CASE WHEN "paid" = ? AND TRUE THEN 4 ELSE 0 END)) AS BIGINT) AS "$mask", epoch_us("keen.timestamp") AS "$time", "plan" AS "$value0.string"
-- the events of the timeframe
FROM (
-- stored in files
SELECT "user.id", "user.id:number", "paid", "plan", make_timestamp(epoch_us("keen.timestamp")) AS "keen.timestamp" FROM read_parquet(?, hive_partitioning=false))
UNION ALL
-- the steps that each event counts for
SELECT "user.id:number" AS "$number", "user.id" AS "$string", CAST(((CASE WHEN TRUE AND TRUE THEN 2 ELSE 0 END)) AS BIGINT) AS "$mask", epoch_us("keen.timestamp") AS "$time", "plan" AS "$value0.string"
-- the events of the timeframe
FROM (
-- stored in files
SELECT "user.id", "user.id:number", CAST(NULL AS VARCHAR) AS "plan", "keen.timestamp" FROM read_parquet(?, hive_partitioning=false)
UNION ALL
-- stored in files
SELECT "user.id", "user.id:number", "plan", "keen.timestamp" FROM read_parquet(?, hive_partitioning=false)
UNION ALL
-- stored in files
SELECT "user.id", "user.id:number", "plan", make_timestamp(epoch_us("keen.timestamp")) AS "keen.timestamp" FROM read_parquet(?, hive_partitioning=false)
UNION ALL
-- stored in files
SELECT CAST(NULL AS VARCHAR) AS "user.id", "user.id:number", "plan", make_timestamp(epoch_us("keen.timestamp")) AS "keen.timestamp" FROM read_parquet(?, hive_partitioning=false)))
WHERE "$mask" <> 0 AND ("$number" IS NOT NULL OR "$string" IS NOT NULL)

-- values:
-- true
-- ["purchases/1.parquet", "purchases/2.parquet"]
-- ["purchases/0.parquet"]
-- ["purchases/1.parquet", "purchases/2.parquet"]
-- ["purchases/3.parquet", "purchases/4.parquet"]
-- ["purchases/5.parquet"]
