-- beside names that are null

-- the properties that are null somewhere
SELECT DISTINCT unnest("keen.nulls")
-- the events of the timeframe
FROM (
-- stored in files
SELECT CAST(NULL AS VARCHAR[]) AS "keen.nulls" FROM read_parquet(?, hive_partitioning=false) WHERE "keen.timestamp" >= make_timestamptz(1767225600000000) AND "keen.timestamp" < make_timestamptz(1767312000000000))

-- values:
-- ["purchases/1.parquet"]
