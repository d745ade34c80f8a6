-- asked: count {"event_collection": "purchases"}

-- the results
SELECT count(*)
-- the events of the timeframe
FROM (
-- stored in files
SELECT "plan" FROM read_parquet(?, hive_partitioning=false)
UNION ALL
-- in no file yet
SELECT "plan" FROM "$tail0")
-- that the filters keep
WHERE "plan" = ?

-- values:
-- ["purchases/1.parquet", "purchases/2.parquet"]
-- "pro"
