-- beside actors of a cohort

-- the actors of a cohort: what each did, counted
SELECT "$string" FROM (

-- the steps that each event counts for
SELECT "plan" AS "$string", CAST(((CASE WHEN TRUE AND TRUE THEN 1 ELSE 0 END)) AS BIGINT) AS "$mask"
-- the events of the timeframe
FROM read_parquet(?, hive_partitioning=false))
WHERE "$mask" <> 0 AND ("$string" IS NOT NULL) GROUP BY "$string" HAVING (count(*) FILTER (WHERE "$mask" & 1 <> 0) >= 3) LIMIT 1001

-- values:
-- ["purchases/1.parquet", "purchases/2.parquet"]
