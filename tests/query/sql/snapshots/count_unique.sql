-- asked: count_unique {"event_collection": "purchases", "target_property": "user.id"}

-- the results
SELECT count(DISTINCT "user.id"), count(DISTINCT "user.id:number")
-- the events of the timeframe
FROM (
-- stored in files
SELECT "user.id", "user.id:number" FROM read_parquet(?, hive_partitioning=false)
UNION ALL
-- in no file yet
SELECT "user.id", "user.id:number" FROM "$tail0")

-- values:
-- ["purchases/1.parquet", "purchases/2.parquet"]
