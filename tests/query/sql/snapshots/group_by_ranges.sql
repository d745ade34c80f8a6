-- asked: count {"event_collection": "files", "group_by": [{"property_name": "price", "ranges": [{"to": 10}, {"from": 10, "to": 20.5, "label": "middle"}]}]}

-- the results of each group
SELECT coalesce((CASE WHEN "price" IS NOT NULL AND "price" < ? THEN 0 WHEN "price" IS NOT NULL AND "price" >= ? AND "price" < ? THEN 1 END), (CASE WHEN coalesce(CAST("price:integer" AS BIGNUM), CAST("price:long" AS BIGNUM)) IS NOT NULL THEN CAST(? AS INTEGER[])[list_reduce(CAST(? AS INTEGER[]), lambda place, step: CASE WHEN place + step <= 2 AND CAST(? AS BIGNUM[])[place + step] <= coalesce(CAST("price:integer" AS BIGNUM), CAST("price:long" AS BIGNUM)) THEN place + step ELSE place END, 0) + 1] END)), count(*)
-- the events of the timeframe
FROM read_parquet(?, hive_partitioning=false)
GROUP BY 1
-- in order
ORDER BY 1 ASC NULLS LAST
LIMIT 1000001

-- values:
-- 10.0
-- 10.0
-- 20.5
-- [0, 1, null]
-- [2, 1]
-- ["10", "21"]
-- ["purchases/1.parquet", "purchases/2.parquet"]
