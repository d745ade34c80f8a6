-- beside percentiles of a sample

-- a sample of the values, and between which of them each percentile may lie
SELECT count("$value"), quantile_disc("$value", [?, ?])
FROM ((SELECT "price" AS "$value"
-- the events of the timeframe
FROM read_parquet(?, hive_partitioning=false) WHERE "keen.timestamp" >= make_timestamptz(1767225600000000) AND "keen.timestamp" < make_timestamptz(1767312000000000)
LIMIT 20000)
UNION ALL
(SELECT "price" AS "$value"
-- the events of the timeframe
FROM read_parquet(?, hive_partitioning=false) WHERE "keen.timestamp" >= make_timestamptz(1767225600000000) AND "keen.timestamp" < make_timestamptz(1767312000000000)
LIMIT 20000))

-- values:
-- 0.494
-- 0.506
-- ["purchases/1.parquet"]
-- ["purchases/1.parquet"]
