-- asked: count {"event_collection": "files", "group_by": ["plan"], "order_by": [{"property_name": "result", "direction": "DESC"}, "plan"], "limit": 3}

-- the results of each group
SELECT "plan", count(*)
-- the events of the timeframe
FROM read_parquet(?, hive_partitioning=false)
GROUP BY 1
-- in order
ORDER BY 2 DESC NULLS LAST, 1 ASC NULLS LAST, 1 ASC NULLS LAST
LIMIT 3

-- values:
-- ["purchases/1.parquet", "purchases/2.parquet"]
