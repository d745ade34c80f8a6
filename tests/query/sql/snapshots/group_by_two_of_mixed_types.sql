-- asked: count {"event_collection": "files", "group_by": ["user.id", "paid"]}

-- the results of each group
SELECT "user.id:number", "user.id", "paid", count(*)
-- the events of the timeframe
FROM read_parquet(?, hive_partitioning=false)
GROUP BY 1, 2, 3
-- in order
ORDER BY 1 ASC NULLS LAST, 2 ASC NULLS LAST, 3 ASC NULLS LAST
LIMIT 1000001

-- values:
-- ["purchases/1.parquet", "purchases/2.parquet"]
