-- asked: minimum {"event_collection": "purchases", "target_property": "price"}

-- the results
SELECT min("price"), min("price:integer"), CAST(min(CAST("price:long" AS BIGNUM)) AS VARCHAR)
-- the events of the timeframe
FROM (
-- stored in files
SELECT "price", "price:integer", "price:long" FROM read_parquet(?, hive_partitioning=false)
UNION ALL
-- in no file yet
SELECT "price", "price:integer", "price:long" FROM "$tail0")

-- values:
-- ["purchases/1.parquet", "purchases/2.parquet"]
