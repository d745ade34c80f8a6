-- asked: average {"event_collection": "purchases", "target_property": "price"}

-- the results
SELECT sum((("price" + 6291456.0) - 6291456.0)), sum(("price" - (("price" + 6291456.0) - 6291456.0))), count("price"), coalesce(sum("price:integer"), 0), CAST(sum(CAST("price:long" AS BIGNUM)) AS VARCHAR), count("price:integer"), count("price:long")
-- the events of the timeframe
FROM (
-- stored in files
SELECT "price", "price:integer", "price:long" FROM read_parquet(?, hive_partitioning=false)
UNION ALL
-- in no file yet
SELECT "price", "price:integer", "price:long" FROM "$tail0")

-- values:
-- ["purchases/1.parquet", "purchases/2.parquet"]
