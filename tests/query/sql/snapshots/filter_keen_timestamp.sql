-- asked: count {"event_collection": "files", "filters": [{"property_name": "keen.timestamp", "operator": "gte", "property_value": "2026-01-10"}, {"property_name": "plan", "operator": "eq", "property_value": "a"}]}

-- the results
SELECT count(*)
-- the events of the timeframe
FROM read_parquet(?, hive_partitioning=false) WHERE "keen.timestamp" >= make_timestamptz(1768003200000000)
-- that the filters keep
AND "plan" = ?

-- values:
-- ["purchases/1.parquet", "purchases/2.parquet"]
-- "a"
