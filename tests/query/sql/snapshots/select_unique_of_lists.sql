-- asked: select_unique {"event_collection": "files", "target_property": "tags"}

-- the results
SELECT list_distinct(flatten(list_transform(list(DISTINCT "tags") FILTER (WHERE "tags" IS NOT NULL), lambda x: CAST(json_extract(x, '$[*]') AS VARCHAR[])))), bool_or(list_contains("keen.nulls", ?))
-- the events of the timeframe
FROM (
-- stored in files
SELECT "tags", CAST(NULL AS VARCHAR[]) AS "keen.nulls" FROM read_parquet(?, hive_partitioning=false)
UNION ALL
-- stored in files
SELECT CAST(NULL AS VARCHAR) AS "tags", "keen.nulls" FROM read_parquet(?, hive_partitioning=false))

-- values:
-- "tags"
-- ["purchases/1.parquet"]
-- ["purchases/2.parquet"]
