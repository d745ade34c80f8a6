-- asked: extraction {"event_collection": "purchases", "latest": 5, "property_names": ["user", "score"]}

-- the newest events
SELECT strlen(concat("user.id")), "score", "user.id", "user.id:number", "keen.nulls", "keen.empties"
-- the events of the timeframe
FROM (
-- stored in files
SELECT "score", "user.id", "user.id:number", CAST(NULL AS VARCHAR[]) AS "keen.nulls", CAST(NULL AS VARCHAR[]) AS "keen.empties", make_timestamp(epoch_us("keen.timestamp")) AS "keen.timestamp" FROM read_parquet(?, hive_partitioning=false)
UNION ALL
-- stored in files
SELECT "score", "user.id", "user.id:number", "keen.nulls", "keen.empties", make_timestamp(epoch_us("keen.timestamp")) AS "keen.timestamp" FROM read_parquet(?, hive_partitioning=false)
UNION ALL
-- in no file yet
SELECT "score", "user.id", "user.id:number", CAST(NULL AS VARCHAR[]) AS "keen.nulls", CAST(NULL AS VARCHAR[]) AS "keen.empties", "keen.timestamp" FROM "$tail0")
ORDER BY "keen.timestamp" DESC LIMIT 5

-- values:
-- ["purchases/1.parquet"]
-- ["purchases/2.parquet"]
