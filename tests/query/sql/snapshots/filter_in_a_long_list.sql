-- asked: count {"event_collection": "files", "filters": [{"property_name": "plan", "operator": "in", "property_value": ["plan 0", "plan 1", "plan 2", "plan 3", "plan 4", "plan 5", "plan 6", "plan 7", "plan 8", "plan 9", "plan 10", "plan 11", "plan 12", "plan 13", "plan 14", "plan 15", "plan 16", "plan 17", "plan 18", "plan 19", "plan 20", "plan 21", "plan 22", "plan 23", "plan 24", "plan 25", "plan 26", "plan 27", "plan 28", "plan 29", "plan 30", "plan 31", "plan 32", "plan 33", "plan 34", "plan 35", "plan 36", "plan 37", "plan 38", "plan 39", "plan 40", "plan 41", "plan 42", "plan 43", "plan 44", "plan 45", "plan 46", "plan 47", "plan 48", "plan 49", "plan 50"]}]}

-- the results
SELECT count(*)
-- the events of the timeframe
FROM read_parquet(?, hive_partitioning=false)
-- that the filters keep
WHERE "plan" IN (SELECT unnest(?))

-- values:
-- ["purchases/1.parquet", "purchases/2.parquet"]
-- ["plan 0", "plan 1", "plan 2", "plan 3", "plan 4", "plan 5", "plan 6", "plan 7", "plan 8", "plan 9", … 51 in all]
