-- asked: count {"event_collection": "old", "group_by": ["plan", "score", "paid", "user.id"]}

-- the results of each group
SELECT "plan", "score", "paid", "user.id:number", "user.id", count(*)
-- the events of the timeframe
FROM (
-- stored in files
SELECT "plan", "score", "paid", "user.id", "user.id:number" FROM read_parquet(?, hive_partitioning=false, union_by_name=true)
UNION ALL
-- stored in files
SELECT "plan", "score", "paid", "user.id", "user.id:number" FROM read_parquet(?, hive_partitioning=false, union_by_name=true))
GROUP BY 1, 2, 3, 4, 5
-- in order
ORDER BY 1 ASC NULLS LAST, 2 ASC NULLS LAST, 3 ASC NULLS LAST, 4 ASC NULLS LAST, 5 ASC NULLS LAST
LIMIT 1000001

-- values:
-- ["purchases/0.parquet", "purchases/1.parquet", "purchases/2.parquet"]
-- ["purchases/3.parquet", "purchases/4.parquet", "purchases/5.parquet"]
