-- beside profile nulls

-- the properties that are null somewhere
SELECT "$lane", count(*) FROM (SELECT unnest("keen.nulls") AS "$lane"
-- the events of the timeframe
FROM (
-- stored in files
SELECT CAST(NULL AS VARCHAR[]) AS "keen.nulls" FROM read_parquet(?, hive_partitioning=false) WHERE "keen.timestamp" >= make_timestamptz(1767225600000000) AND "keen.timestamp" < make_timestamptz(1767312000000000))) GROUP BY 1

-- values:
-- ["purchases/1.parquet"]
