-- asked: count {"event_collection": "spring", "interval": "daily", "timeframe": {"start": "2026-03-28T00:00:00+01:00", "end": "2026-03-31T00:00:00+02:00"}, "timezone": "Europe/Berlin"}

-- the results of each group
SELECT CAST((CASE WHEN "$us" < 1774738800000000 THEN 0 ELSE (CASE WHEN "$us" < 1774821600000000 THEN 1 ELSE 2 END) END) AS UTINYINT), count(*)
-- the events of the timeframe
FROM (
-- stored in files
SELECT make_timestamp(epoch_us("keen.timestamp")) AS "keen.timestamp", epoch_us("keen.timestamp") AS "$us" FROM read_parquet(?, hive_partitioning=false) WHERE "keen.timestamp" >= make_timestamptz(1774652400000000) AND "keen.timestamp" < make_timestamptz(1774908000000000))
GROUP BY 1
LIMIT 2000001

-- values:
-- ["purchases/7.parquet"]
