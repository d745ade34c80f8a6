-- asked: count {"event_collection": "old", "filters": [{"property_name": "plan", "operator": "eq", "property_value": "pro"}]}

-- the results
SELECT count(*)
-- the events of the timeframe
FROM (
-- stored in files
SELECT CAST(NULL AS VARCHAR) AS "plan" FROM read_parquet(?, hive_partitioning=false)
UNION ALL
-- stored in files
SELECT "plan" FROM read_parquet(?, hive_partitioning=false)
UNION ALL
-- stored in files
SELECT "plan" FROM read_parquet(?, hive_partitioning=false))
-- that the filters keep
WHERE "plan" = ?

-- values:
-- ["purchases/0.parquet"]
-- ["purchases/1.parquet", "purchases/2.parquet"]
-- ["purchases/3.parquet", "purchases/4.parquet", "purchases/5.parquet"]
-- "pro"
