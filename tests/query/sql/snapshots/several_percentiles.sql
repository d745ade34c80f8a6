-- asked: multi_analysis {"event_collection": "files", "analyses": {"middle": {"analysis_type": "median", "target_property": "score"}, "p90": {"analysis_type": "percentile", "target_property": "score", "percentile": 90}}}

-- the results
SELECT (CASE WHEN isfinite(quantile_disc("score", [?, ?])[1]) THEN quantile_disc("score", [?, ?])[1] END), (CASE WHEN isfinite(quantile_disc("score", [?, ?])[2]) THEN quantile_disc("score", [?, ?])[2] END)
-- the events of the timeframe
FROM read_parquet(?, hive_partitioning=false)

-- values:
-- 0.5
-- 0.9
-- 0.5
-- 0.9
-- 0.5
-- 0.9
-- 0.5
-- 0.9
-- ["purchases/1.parquet", "purchases/2.parquet"]
