-- asked: multi_analysis {"event_collection": "files", "timeframe": {"start": "2026-01-01", "end": "2026-02-01"}, "interval": "weekly", "group_by": "plan", "analyses": {"orders": {"analysis_type": "count"}, "buyers": {"analysis_type": "count_unique", "target_property": "user.id"}, "p90": {"analysis_type": "percentile", "target_property": "score", "percentile": 90}}}

-- the results of each group
SELECT CAST((CASE WHEN "$us" < 1767484800000000 THEN 0 ELSE (1 + floor(("$us" - (1767484800000000)) / 604800000000)) END) AS INTEGER), "plan", count(*), count(DISTINCT "user.id"), count(DISTINCT "user.id:number"), (CASE WHEN isfinite(quantile_disc("score", ?)) THEN quantile_disc("score", ?) END)
-- the events of the timeframe
FROM (
-- stored in files
SELECT "plan", "user.id", "user.id:number", "score", make_timestamp(epoch_us("keen.timestamp")) AS "keen.timestamp", epoch_us("keen.timestamp") AS "$us" FROM read_parquet(?, hive_partitioning=false)
UNION ALL
-- stored in files
SELECT "plan", "user.id", "user.id:number", "score", make_timestamp(epoch_us("keen.timestamp")) AS "keen.timestamp", epoch_us("keen.timestamp") AS "$us" FROM read_parquet(?, hive_partitioning=false) WHERE "keen.timestamp" >= make_timestamptz(1767225600000000) AND "keen.timestamp" < make_timestamptz(1769904000000000))
GROUP BY 1, 2
-- in order
ORDER BY 2 ASC NULLS LAST
LIMIT 2000001

-- values:
-- 0.9
-- 0.9
-- ["purchases/1.parquet"]
-- ["purchases/2.parquet"]
