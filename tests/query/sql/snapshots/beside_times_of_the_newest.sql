-- beside times of the newest

-- the times of the newest events
SELECT epoch_us("keen.timestamp")
-- the events of the timeframe
FROM read_parquet(?, hive_partitioning=false) WHERE "keen.timestamp" >= make_timestamptz(1767225600000000) AND "keen.timestamp" < make_timestamptz(1767312000000000)
ORDER BY "keen.timestamp" DESC LIMIT 10

-- values:
-- ["purchases/1.parquet"]
