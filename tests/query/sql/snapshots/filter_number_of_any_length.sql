-- asked: count {"event_collection": "files", "filters": [{"property_name": "price", "operator": "gte", "property_value": 12.5}]}

-- the results
SELECT count(*)
-- the events of the timeframe
FROM read_parquet(?, hive_partitioning=false)
-- that the filters keep
WHERE ("price" >= ? OR "price:integer" >= ? OR CAST("price:long" AS BIGNUM) >= CAST(? AS BIGNUM))

-- values:
-- ["purchases/1.parquet", "purchases/2.parquet"]
-- 12.5
-- 13
-- "13"
