-- asked: count {"event_collection": "files", "interval": "monthly", "timeframe": {"start": "2020-01-01", "end": "2030-01-01"}}

-- the results of each group
SELECT CAST("$bucket" AS UTINYINT), count(*)
-- the interval of each event, by where intervals begin
FROM (SELECT *
-- the events of the timeframe
FROM (
-- stored in files
SELECT make_timestamp(epoch_us("keen.timestamp")) AS "keen.timestamp", epoch_us("keen.timestamp") AS "$us" FROM read_parquet(?, hive_partitioning=false)))
ASOF JOIN (SELECT unnest(?) AS "$bucket", CAST(unnest(?) AS BIGINT) AS "$start") ON "$us" >= "$start"
GROUP BY 1
LIMIT 2000001

-- values:
-- ["purchases/1.parquet", "purchases/2.parquet"]
-- [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, … 120 in all]
-- [1577836800000000, 1580515200000000, 1583020800000000, 1585699200000000, 1588291200000000, 1590969600000000, 1593561600000000, 1596240000000000, 1598918400000000, 1601510400000000, … 120 in all]
