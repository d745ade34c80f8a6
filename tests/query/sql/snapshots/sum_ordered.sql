-- asked: sum {"event_collection": "files", "target_property": "score", "group_by": "plan", "order_by": {"property_name": "result", "direction": "DESC"}, "limit": 2}

-- the results of each group
SELECT "plan", sum((("score" + 1572864.0) - 1572864.0)), sum(("score" - (("score" + 1572864.0) - 1572864.0))), count("score")
-- the events of the timeframe
FROM read_parquet(?, hive_partitioning=false)
GROUP BY 1
-- in order
ORDER BY coalesce((sum((("score" + 1572864.0) - 1572864.0)) + (sum(("score" - (("score" + 1572864.0) - 1572864.0))) - (CASE WHEN count("score") <= CAST(0.0 AS DOUBLE) THEN 0.0 ELSE CAST(count("score") AS DOUBLE) * count("score") * 1.3732490638087374e-26 + abs(sum(("score" - (("score" + 1572864.0) - 1572864.0)))) * 2.220446049250313e-16 END)) = sum((("score" + 1572864.0) - 1572864.0)) + (sum(("score" - (("score" + 1572864.0) - 1572864.0))) + (CASE WHEN count("score") <= CAST(0.0 AS DOUBLE) THEN 0.0 ELSE CAST(count("score") AS DOUBLE) * count("score") * 1.3732490638087374e-26 + abs(sum(("score" - (("score" + 1572864.0) - 1572864.0)))) * 2.220446049250313e-16 END)) AND abs(sum((("score" + 1572864.0) - 1572864.0)) + sum(("score" - (("score" + 1572864.0) - 1572864.0)))) < 9007199254740992.0), TRUE), coalesce(sum((("score" + 1572864.0) - 1572864.0)) + sum(("score" - (("score" + 1572864.0) - 1572864.0))), 0) DESC NULLS LAST, 1 ASC NULLS LAST
LIMIT 2

-- values:
-- ["purchases/1.parquet", "purchases/2.parquet"]
