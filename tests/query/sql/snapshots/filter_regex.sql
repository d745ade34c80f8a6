-- asked: count {"event_collection": "files", "filters": [{"property_name": "plan", "operator": "regex", "property_value": "^pro"}]}

-- the results
SELECT count(*)
-- the events of the timeframe
FROM read_parquet(?, hive_partitioning=false)
-- that the filters keep
WHERE regexp_matches("plan", ?)

-- values:
-- ["purchases/1.parquet", "purchases/2.parquet"]
-- "^pro"
