-- asked: median {"event_collection": "purchases", "target_property": "price"}

-- the results
SELECT (CASE WHEN isfinite(quantile_disc(coalesce("price", TRY_CAST("price:integer" AS DOUBLE), TRY_CAST("price:long" AS DOUBLE)), ?)) THEN quantile_disc(coalesce("price", TRY_CAST("price:integer" AS DOUBLE), TRY_CAST("price:long" AS DOUBLE)), ?) END)
-- the events of the timeframe
FROM (
-- stored in files
SELECT "price", "price:integer", "price:long" FROM read_parquet(?, hive_partitioning=false)
UNION ALL
-- in no file yet
SELECT "price", "price:integer", "price:long" FROM "$tail0")

-- values:
-- 0.5
-- 0.5
-- ["purchases/1.parquet", "purchases/2.parquet"]
