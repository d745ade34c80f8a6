-- asked: count {"event_collection": "purchases", "timeframe": {"start": "2026-01-01", "end": "2026-02-01"}}

-- the results
SELECT count(*)
-- the events of the timeframe
FROM (
-- stored in files
SELECT 1 AS "$row" FROM read_parquet(?, hive_partitioning=false) WHERE "keen.timestamp" >= make_timestamptz(1767225600000000) AND "keen.timestamp" < make_timestamptz(1769904000000000)
UNION ALL
-- in no file yet
SELECT 1 AS "$row" FROM "$tail0" WHERE "keen.timestamp" >= make_timestamp(1767225600000000) AND "keen.timestamp" < make_timestamp(1769904000000000))

-- values:
-- ["purchases/2.parquet"]
