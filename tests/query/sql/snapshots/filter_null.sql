-- asked: count {"event_collection": "files", "filters": [{"property_name": "plan", "operator": "eq", "property_value": null}]}

-- the results
SELECT count(*)
-- the events of the timeframe
FROM (
-- stored in files
SELECT "plan", CAST(NULL AS VARCHAR[]) AS "keen.nulls", CAST(NULL AS VARCHAR[]) AS "keen.empties" FROM read_parquet(?, hive_partitioning=false)
UNION ALL
-- stored in files
SELECT "plan", "keen.nulls", "keen.empties" FROM read_parquet(?, hive_partitioning=false))
-- that the filters keep
WHERE ((("plan" IS NOT NULL OR (len(list_filter("keen.nulls", lambda p: starts_with(p, ?))) > 0) OR (len(list_filter("keen.empties", lambda p: p = ? OR starts_with(p, ?))) > 0))) IS NOT TRUE)

-- values:
-- ["purchases/1.parquet"]
-- ["purchases/2.parquet"]
-- "plan."
-- "plan"
-- "plan."
