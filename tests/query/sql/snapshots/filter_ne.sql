-- asked: count {"event_collection": "files", "filters": [{"property_name": "plan", "operator": "ne", "property_value": "pro"}]}

-- the results
SELECT count(*)
-- the events of the timeframe
FROM read_parquet(?, hive_partitioning=false)
-- that the filters keep
WHERE (("plan" = ?) IS NOT TRUE)

-- values:
-- ["purchases/1.parquet", "purchases/2.parquet"]
-- "pro"
