-- beside what is linked

-- which ids belong together, in the order in which this was said
SELECT "plan", CAST(NULL AS DOUBLE), count(*), max(epoch_us("keen.created_at")), min(struct_pack(by0 := "keen.created_at", by1 := "keen.timestamp", by2 := "keen.id"))
-- the events of the timeframe
FROM (
-- stored in files
SELECT make_timestamp(epoch_us("keen.created_at")) AS "keen.created_at", make_timestamp(epoch_us("keen.timestamp")) AS "keen.timestamp", "keen.id", "plan" FROM read_parquet(?, hive_partitioning=false) WHERE "keen.timestamp" >= make_timestamptz(1767225600000000) AND "keen.timestamp" < make_timestamptz(1767312000000000))
GROUP BY 1, 2
ORDER BY 5 LIMIT 100

-- values:
-- ["purchases/1.parquet"]
