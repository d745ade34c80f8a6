-- asked: funnel {"steps": [{"event_collection": "files", "actor_property": "user.id", "timeframe": {"start": "2026-01-01", "end": "2026-01-08"}, "with_actors": true}, {"event_collection": "files", "actor_property": "user.id", "timeframe": {"start": "2026-01-08", "end": "2026-01-15"}, "inverted": true}, {"event_collection": "old", "actor_property": "plan"}]}

-- the steps that each actor did, of those who did the first
SELECT "$number", "$string", bit_or("$mask") AS "$mask" FROM (
-- the steps that each event counts for
SELECT "user.id:number" AS "$number", "user.id" AS "$string", CAST(((CASE WHEN TRUE AND "keen.timestamp" >= make_timestamp(1767225600000000) AND "keen.timestamp" < make_timestamp(1767830400000000) THEN 1 ELSE 0 END) | (CASE WHEN TRUE AND "keen.timestamp" >= make_timestamp(1767830400000000) AND "keen.timestamp" < make_timestamp(1768435200000000) THEN 2 ELSE 0 END)) AS BIGINT) AS "$mask"
-- the events of the timeframe
FROM (
-- stored in files
SELECT "user.id", "user.id:number", make_timestamp(epoch_us("keen.timestamp")) AS "keen.timestamp" FROM read_parquet(?, hive_partitioning=false))
UNION ALL
-- the steps that each event counts for
SELECT CAST(NULL AS DOUBLE) AS "$number", "plan" AS "$string", CAST(((CASE WHEN TRUE AND TRUE THEN 4 ELSE 0 END)) AS BIGINT) AS "$mask"
-- the events of the timeframe
FROM (
-- stored in files
SELECT CAST(NULL AS VARCHAR) AS "plan" FROM read_parquet(?, hive_partitioning=false)
UNION ALL
-- stored in files
SELECT "plan" FROM read_parquet(?, hive_partitioning=false)
UNION ALL
-- stored in files
SELECT "plan" FROM read_parquet(?, hive_partitioning=false)))
WHERE "$number" IS NOT NULL OR "$string" IS NOT NULL GROUP BY "$number", "$string" HAVING bit_or("$mask") & 1 = 1 LIMIT 1000001

-- values:
-- ["purchases/1.parquet"]
-- ["purchases/0.parquet"]
-- ["purchases/1.parquet", "purchases/2.parquet"]
-- ["purchases/3.parquet", "purchases/4.parquet", "purchases/5.parquet"]
