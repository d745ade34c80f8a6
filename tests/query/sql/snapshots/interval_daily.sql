-- asked: count {"event_collection": "files", "interval": "daily", "timeframe": {"start": "2026-01-01", "end": "2026-02-01"}}

-- the results of each group
SELECT CAST(floor(("$us" - (1767225600000000)) / 86400000000) AS UTINYINT), count(*)
-- the events of the timeframe
FROM (
-- stored in files
SELECT make_timestamp(epoch_us("keen.timestamp")) AS "keen.timestamp", epoch_us("keen.timestamp") AS "$us" FROM read_parquet(?, hive_partitioning=false)
UNION ALL
-- stored in files
SELECT make_timestamp(epoch_us("keen.timestamp")) AS "keen.timestamp", epoch_us("keen.timestamp") AS "$us" FROM read_parquet(?, hive_partitioning=false) WHERE "keen.timestamp" >= make_timestamptz(1767225600000000) AND "keen.timestamp" < make_timestamptz(1769904000000000))
GROUP BY 1
LIMIT 2000001

-- values:
-- ["purchases/1.parquet"]
-- ["purchases/2.parquet"]
