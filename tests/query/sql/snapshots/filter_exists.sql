-- asked: count {"event_collection": "files", "filters": [{"property_name": "user", "operator": "exists", "property_value": true}]}

-- the results
SELECT count(*)
-- the events of the timeframe
FROM (
-- stored in files
SELECT "user.id", "user.id:number", CAST(NULL AS VARCHAR[]) AS "keen.nulls", CAST(NULL AS VARCHAR[]) AS "keen.empties" FROM read_parquet(?, hive_partitioning=false)
UNION ALL
-- stored in files
SELECT "user.id", "user.id:number", "keen.nulls", "keen.empties" FROM read_parquet(?, hive_partitioning=false))
-- that the filters keep
WHERE ("user.id" IS NOT NULL OR "user.id:number" IS NOT NULL OR (len(list_filter("keen.nulls", lambda p: p = ? OR starts_with(p, ?))) > 0) OR (len(list_filter("keen.empties", lambda p: p = ? OR starts_with(p, ?))) > 0))

-- values:
-- ["purchases/1.parquet"]
-- ["purchases/2.parquet"]
-- "user"
-- "user."
-- "user"
-- "user."
