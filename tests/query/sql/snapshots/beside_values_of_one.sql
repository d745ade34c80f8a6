-- beside values of one

-- one value of each event
SELECT "price"
-- the events of the timeframe
FROM read_parquet(?, hive_partitioning=false) WHERE "keen.timestamp" >= make_timestamptz(1767225600000000) AND "keen.timestamp" < make_timestamptz(1767312000000000)

-- values:
-- ["purchases/1.parquet"]
