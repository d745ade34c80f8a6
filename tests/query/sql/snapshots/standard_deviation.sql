-- asked: standard_deviation {"event_collection": "purchases", "target_property": "score"}

-- the results
SELECT (CASE WHEN min((CASE WHEN isfinite("score") THEN "score" END)) = max((CASE WHEN isfinite("score") THEN "score" END)) THEN 0.0 WHEN abs(avg(((CASE WHEN isfinite("score") THEN "score" END) - 0.0))) > 65536.0 * stddev_pop(((CASE WHEN isfinite("score") THEN "score" END) - 0.0)) THEN 'nan'::DOUBLE ELSE (CASE WHEN isfinite(stddev_pop(((CASE WHEN isfinite("score") THEN "score" END) - 0.0))) THEN stddev_pop(((CASE WHEN isfinite("score") THEN "score" END) - 0.0)) END) END)
-- the events of the timeframe
FROM (
-- stored in files
SELECT "score" FROM read_parquet(?, hive_partitioning=false)
UNION ALL
-- in no file yet
SELECT "score" FROM "$tail0")

-- values:
-- ["purchases/1.parquet", "purchases/2.parquet"]
