-- asked: count {"event_collection": "files", "group_by": [{"property_name": "score", "buckets": {"size": 10}}]}

-- the results of each group
SELECT (floor("score" / 10.0) * CAST(10.0 AS DOUBLE)), count(*)
-- the events of the timeframe
FROM read_parquet(?, hive_partitioning=false)
GROUP BY 1
-- in order
ORDER BY 1 ASC NULLS LAST
LIMIT 1000001

-- values:
-- ["purchases/1.parquet", "purchases/2.parquet"]
