-- beside dataset by two indexes

-- the results of each group
SELECT CAST((CASE WHEN "$us" < 1767484800000000 THEN 0 ELSE (1 + floor(("$us" - (1767484800000000)) / 604800000000)) END) AS INTEGER), "user.id:number", "user.id", (CASE WHEN "user.id:number" IS NULL AND "user.id" IS NULL THEN (((("user.id" IS NOT NULL OR "user.id:number" IS NOT NULL OR (len(list_filter("keen.nulls", lambda p: starts_with(p, ?))) > 0) OR (len(list_filter("keen.empties", lambda p: p = ? OR starts_with(p, ?))) > 0))) IS NOT TRUE)) IS TRUE END), "paid", (CASE WHEN "paid" IS NULL THEN (((("paid" IS NOT NULL OR (len(list_filter("keen.nulls", lambda p: starts_with(p, ?))) > 0) OR (len(list_filter("keen.empties", lambda p: p = ? OR starts_with(p, ?))) > 0))) IS NOT TRUE)) IS TRUE END), "plan", count(*), count(DISTINCT "user.id"), count(DISTINCT "user.id:number"), (CASE WHEN isfinite(quantile_disc("score", ?)) THEN quantile_disc("score", ?) END)
-- the events of the timeframe
FROM (
-- stored in files
SELECT "user.id", "user.id:number", "paid", "plan", "score", CAST(NULL AS VARCHAR[]) AS "keen.nulls", CAST(NULL AS VARCHAR[]) AS "keen.empties", make_timestamp(epoch_us("keen.timestamp")) AS "keen.timestamp", epoch_us("keen.timestamp") AS "$us" FROM read_parquet(?, hive_partitioning=false)
UNION ALL
-- stored in files
SELECT "user.id", "user.id:number", "paid", "plan", "score", "keen.nulls", "keen.empties", make_timestamp(epoch_us("keen.timestamp")) AS "keen.timestamp", epoch_us("keen.timestamp") AS "$us" FROM read_parquet(?, hive_partitioning=false) WHERE "keen.timestamp" >= make_timestamptz(1767225600000000) AND "keen.timestamp" < make_timestamptz(1769904000000000))
GROUP BY 1, 2, 3, 4, 5, 6, 7
ORDER BY 2, 3, 4, 5, 6, 1 LIMIT 101

-- values:
-- "user.id."
-- "user.id"
-- "user.id."
-- "paid."
-- "paid"
-- "paid."
-- 0.9
-- 0.9
-- ["purchases/1.parquet"]
-- ["purchases/2.parquet"]
