-- asked: sessions {"events": [{"event_collection": "purchases", "filters": [{"property_name": "paid", "operator": "eq", "property_value": true}]}, {"event_collection": "purchases"}, {"event_collection": "old", "actor_property": "plan"}], "actor_property": "user.id", "page_property": "tags", "group_by": [{"property_name": "price", "ranges": [{"to": 10}, {"from": 10, "to": 20.5, "label": "middle"}]}, "plan"]}

-- the events that count for a step, their actors and times
SELECT "$number", "$string", CAST("$mask" AS UTINYINT) AS "$mask", "$time", "$value0.list", "$value1.range", "$value2.string" FROM (
-- the steps that each event counts for
SELECT "user.id:number" AS "$number", "user.id" AS "$string", CAST(((CASE WHEN "paid" = ? AND TRUE THEN 1 ELSE 0 END) | (CASE WHEN TRUE AND TRUE THEN 2 ELSE 0 END)) AS BIGINT) AS "$mask", epoch_us("keen.timestamp") AS "$time", "tags" AS "$value0.list", coalesce((CASE WHEN "price" IS NOT NULL AND "price" < ? THEN 0 WHEN "price" IS NOT NULL AND "price" >= ? AND "price" < ? THEN 1 END), (CASE WHEN coalesce(CAST("price:integer" AS BIGNUM), CAST("price:long" AS BIGNUM)) IS NOT NULL THEN CAST(? AS INTEGER[])[list_reduce(CAST(? AS INTEGER[]), lambda place, step: CASE WHEN place + step <= 2 AND CAST(? AS BIGNUM[])[place + step] <= coalesce(CAST("price:integer" AS BIGNUM), CAST("price:long" AS BIGNUM)) THEN place + step ELSE place END, 0) + 1] END)) AS "$value1.range", "plan" AS "$value2.string"
-- the events of the timeframe
FROM (
-- stored in files
SELECT "user.id", "user.id:number", "paid", "tags", "price", "price:integer", "price:long", "plan", make_timestamp(epoch_us("keen.timestamp")) AS "keen.timestamp" FROM read_parquet(?, hive_partitioning=false)
UNION ALL
-- stored in files
SELECT "user.id", "user.id:number", "paid", CAST(NULL AS VARCHAR) AS "tags", "price", "price:integer", "price:long", "plan", make_timestamp(epoch_us("keen.timestamp")) AS "keen.timestamp" FROM read_parquet(?, hive_partitioning=false)
UNION ALL
-- in no file yet
SELECT "user.id", "user.id:number", CAST(NULL AS BOOLEAN) AS "paid", CAST(NULL AS VARCHAR) AS "tags", "price", "price:integer", "price:long", "plan", "keen.timestamp" FROM "$tail0")
UNION ALL
-- the steps that each event counts for
SELECT CAST(NULL AS DOUBLE) AS "$number", "plan" AS "$string", CAST(((CASE WHEN TRUE AND TRUE THEN 4 ELSE 0 END)) AS BIGINT) AS "$mask", epoch_us("keen.timestamp") AS "$time", "tags" AS "$value0.list", coalesce((CASE WHEN "price" IS NOT NULL AND "price" < ? THEN 0 WHEN "price" IS NOT NULL AND "price" >= ? AND "price" < ? THEN 1 END), (CASE WHEN coalesce(CAST("price:integer" AS BIGNUM), CAST("price:long" AS BIGNUM)) IS NOT NULL THEN CAST(? AS INTEGER[])[list_reduce(CAST(? AS INTEGER[]), lambda place, step: CASE WHEN place + step <= 2 AND CAST(? AS BIGNUM[])[place + step] <= coalesce(CAST("price:integer" AS BIGNUM), CAST("price:long" AS BIGNUM)) THEN place + step ELSE place END, 0) + 1] END)) AS "$value1.range", "plan" AS "$value2.string"
-- the events of the timeframe
FROM (
-- stored in files
SELECT CAST(NULL AS VARCHAR) AS "plan", "tags", "price", "price:integer", "price:long", "keen.timestamp" FROM read_parquet(?, hive_partitioning=false)
UNION ALL
-- stored in files
SELECT "plan", "tags", "price", "price:integer", "price:long", "keen.timestamp" FROM read_parquet(?, hive_partitioning=false)
UNION ALL
-- stored in files
SELECT "plan", CAST(NULL AS VARCHAR) AS "tags", "price", "price:integer", "price:long", make_timestamp(epoch_us("keen.timestamp")) AS "keen.timestamp" FROM read_parquet(?, hive_partitioning=false)
UNION ALL
-- stored in files
SELECT "plan", "tags", "price", "price:integer", "price:long", make_timestamp(epoch_us("keen.timestamp")) AS "keen.timestamp" FROM read_parquet(?, hive_partitioning=false)))
WHERE "$mask" <> 0 AND ("$number" IS NOT NULL OR "$string" IS NOT NULL)

-- values:
-- true
-- 10.0
-- 10.0
-- 20.5
-- [0, 1, null]
-- [2, 1]
-- ["10", "21"]
-- ["purchases/1.parquet"]
-- ["purchases/2.parquet"]
-- 10.0
-- 10.0
-- 20.5
-- [0, 1, null]
-- [2, 1]
-- ["10", "21"]
-- ["purchases/0.parquet"]
-- ["purchases/1.parquet", "purchases/2.parquet"]
-- ["purchases/3.parquet"]
-- ["purchases/4.parquet", "purchases/5.parquet"]
