-- beside profile periods

-- how many events each period has
SELECT epoch_us(date_trunc(?, "keen.timestamp")), count(*)
-- the events of the timeframe
FROM (
-- stored in files
SELECT make_timestamp(epoch_us("keen.timestamp")) AS "keen.timestamp" FROM read_parquet(?, hive_partitioning=false) WHERE "keen.timestamp" >= make_timestamptz(1767225600000000) AND "keen.timestamp" < make_timestamptz(1767312000000000))
GROUP BY 1 ORDER BY 1

-- values:
-- "day"
-- ["purchases/1.parquet"]
