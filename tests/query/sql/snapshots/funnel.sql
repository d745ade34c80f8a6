-- asked: funnel {"steps": [{"event_collection": "files", "actor_property": "user.id"}, {"event_collection": "files", "actor_property": "user.id", "filters": [{"property_name": "plan", "operator": "eq", "property_value": "pro"}]}]}

-- how many actors did the same steps
SELECT "$mask", count(*) FROM (
-- the steps that each actor did, of those who did the first
SELECT "$number", "$string", bit_or("$mask") AS "$mask" FROM (
-- the steps that each event counts for
SELECT "user.id:number" AS "$number", "user.id" AS "$string", CAST(((CASE WHEN TRUE AND TRUE THEN 1 ELSE 0 END) | (CASE WHEN "plan" = ? AND TRUE THEN 2 ELSE 0 END)) AS BIGINT) AS "$mask"
-- the events of the timeframe
FROM read_parquet(?, hive_partitioning=false))
WHERE "$number" IS NOT NULL OR "$string" IS NOT NULL GROUP BY "$number", "$string" HAVING bit_or("$mask") & 1 = 1)
GROUP BY 1

-- values:
-- "pro"
-- ["purchases/1.parquet", "purchases/2.parquet"]
