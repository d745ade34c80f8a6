-- asked: sum {"event_collection": "purchases", "target_property": "score"}

-- the results
SELECT sum((("score" + 1572864.0) - 1572864.0)), sum(("score" - (("score" + 1572864.0) - 1572864.0)))
-- the events of the timeframe
FROM (
-- stored in files
SELECT "score" FROM read_parquet(?, hive_partitioning=false)
UNION ALL
-- in no file yet
SELECT "score" FROM "$tail0")

-- values:
-- ["purchases/1.parquet", "purchases/2.parquet"]
