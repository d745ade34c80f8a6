-- beside presence of properties

-- how many events have each property
SELECT count(*), count("price")
-- the events of the timeframe
FROM read_parquet(?, hive_partitioning=false) WHERE "keen.timestamp" >= make_timestamptz(1767225600000000) AND "keen.timestamp" < make_timestamptz(1767312000000000)

-- values:
-- ["purchases/1.parquet"]
