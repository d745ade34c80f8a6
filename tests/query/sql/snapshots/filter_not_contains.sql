-- asked: count {"event_collection": "files", "filters": [{"property_name": "plan", "operator": "not_contains", "property_value": "o"}]}

-- the results
SELECT count(*)
-- the events of the timeframe
FROM read_parquet(?, hive_partitioning=false)
-- that the filters keep
WHERE ((contains("plan", ?)) IS NOT TRUE)

-- values:
-- ["purchases/1.parquet", "purchases/2.parquet"]
-- "o"
