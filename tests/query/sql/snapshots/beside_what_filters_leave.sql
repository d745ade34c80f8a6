-- beside what filters leave

-- how many events each filter leaves
SELECT count(*), count(*) FILTER (WHERE "price" > ?), count(*) FILTER (WHERE TRUE)
-- the events of the timeframe
FROM read_parquet(?, hive_partitioning=false) WHERE "keen.timestamp" >= make_timestamptz(1767225600000000) AND "keen.timestamp" < make_timestamptz(1767312000000000)

-- values:
-- 3.0
-- ["purchases/1.parquet"]
