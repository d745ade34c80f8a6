-- asked: count {"event_collection": "files", "group_by": [{"property_name": "score", "buckets": {"size": 0.1}}]}

-- the results of each group
SELECT ((floor("score" / 0.1) + CAST("score" >= ((floor("score" / 0.1) + 1) / CAST(10.0 AS DOUBLE)) AS INTEGER) - CAST("score" < (floor("score" / 0.1) / CAST(10.0 AS DOUBLE)) AS INTEGER)) / CAST(10.0 AS DOUBLE)), count(*)
-- the events of the timeframe
FROM read_parquet(?, hive_partitioning=false)
GROUP BY 1
-- in order
ORDER BY 1 ASC NULLS LAST
LIMIT 1000001

-- values:
-- ["purchases/1.parquet", "purchases/2.parquet"]
