-- beside linked ids

-- the results
SELECT count(DISTINCT "$actor.string.plan")
FROM (
-- the actor of each event: of linked ids the one that stands for all
SELECT "$row".*, coalesce("$linked0"."$to_string", "plan") AS "$actor.string.plan" FROM (SELECT *
-- the events of the timeframe
FROM read_parquet(?, hive_partitioning=false)) AS "$row"
LEFT JOIN "$links" AS "$linked0" ON "plan" = "$linked0"."$id_string")

-- values:
-- ["purchases/1.parquet", "purchases/2.parquet"]
