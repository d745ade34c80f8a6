-- beside profile totals

-- what the values of each property are like
SELECT count(*), epoch_us(min("keen.timestamp")), epoch_us(max("keen.timestamp")), count("price"), approx_count_distinct("price"), count("price:integer"), approx_count_distinct("price:integer"), count("price:long"), approx_count_distinct("price:long"), min("price"), min("price:integer"), CAST(min(CAST("price:long" AS BIGNUM)) AS VARCHAR), max("price"), max("price:integer"), CAST(max(CAST("price:long" AS BIGNUM)) AS VARCHAR), sum((("price" + 6291456.0) - 6291456.0)), sum(("price" - (("price" + 6291456.0) - 6291456.0))), count("price"), coalesce(sum("price:integer"), 0), CAST(sum(CAST("price:long" AS BIGNUM)) AS VARCHAR), count("price:integer"), count("price:long"), count("plan"), approx_count_distinct("plan"), min(length("plan")), max(length("plan")), CAST(sum(length("plan")) AS BIGINT), left(min("plan"), 65), left(max("plan"), 65), count("keen.created_at"), approx_count_distinct("keen.created_at"), epoch_us(min("keen.created_at")), epoch_us(max("keen.created_at"))
-- the events of the timeframe
FROM (
-- stored in files
SELECT make_timestamp(epoch_us("keen.timestamp")) AS "keen.timestamp", "price", "price:integer", "price:long", "plan", make_timestamp(epoch_us("keen.created_at")) AS "keen.created_at", CAST(NULL AS VARCHAR[]) AS "keen.nulls" FROM read_parquet(?, hive_partitioning=false)
UNION ALL
-- stored in files
SELECT make_timestamp(epoch_us("keen.timestamp")) AS "keen.timestamp", "price", "price:integer", "price:long", "plan", make_timestamp(epoch_us("keen.created_at")) AS "keen.created_at", "keen.nulls" FROM read_parquet(?, hive_partitioning=false))

-- values:
-- ["purchases/1.parquet"]
-- ["purchases/2.parquet"]
