-- asked: count {"event_collection": "files", "filters": [{"property_name": "plan", "operator": "eq", "property_value": "pro"}, {"property_name": "paid", "operator": "eq", "property_value": true}]}

-- the results
SELECT count(*)
-- the events of the timeframe
FROM read_parquet(?, hive_partitioning=false)
-- that the filters keep
WHERE ("plan" = ? AND "paid" = ?)

-- values:
-- ["purchases/1.parquet", "purchases/2.parquet"]
-- "pro"
-- true
