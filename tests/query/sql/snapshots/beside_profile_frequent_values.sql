-- beside profile frequent values

-- values that may be the most frequent ones
SELECT approx_top_k("plan", 20), approx_top_k(epoch_us("keen.created_at"), 20)
-- the events of the timeframe
FROM (
-- stored in files
SELECT "plan", make_timestamp(epoch_us("keen.created_at")) AS "keen.created_at" FROM read_parquet(?, hive_partitioning=false) WHERE "keen.timestamp" >= make_timestamptz(1767225600000000) AND "keen.timestamp" < make_timestamptz(1767312000000000))

-- values:
-- ["purchases/1.parquet"]
