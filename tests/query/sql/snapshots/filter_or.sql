-- asked: count {"event_collection": "files", "filters": [{"operator": "or", "operands": [{"property_name": "plan", "operator": "eq", "property_value": "pro"}, {"property_name": "price", "operator": "lt", "property_value": 5}]}]}

-- the results
SELECT count(*)
-- the events of the timeframe
FROM read_parquet(?, hive_partitioning=false)
-- that the filters keep
WHERE ("plan" = ? OR ("price" < ? OR "price:integer" < ? OR CAST("price:long" AS BIGNUM) < CAST(? AS BIGNUM)))

-- values:
-- ["purchases/1.parquet", "purchases/2.parquet"]
-- "pro"
-- 5.0
-- 5
-- "5"
