-- asked: count {"event_collection": "files", "interval": "hourly", "timeframe": "previous_2_days"}

-- the results of each group
SELECT CAST(floor(("$us" - (1768262400000000)) / 3600000000) AS UTINYINT), count(*)
-- the events of the timeframe
FROM (
-- stored in files
SELECT make_timestamp(epoch_us("keen.timestamp")) AS "keen.timestamp", epoch_us("keen.timestamp") AS "$us" FROM read_parquet(?, hive_partitioning=false) WHERE "keen.timestamp" >= make_timestamptz(1768262400000000) AND "keen.timestamp" < make_timestamptz(1768435200000000))
GROUP BY 1
LIMIT 2000001

-- values:
-- ["purchases/1.parquet"]
