-- beside profile frequencies

-- how many events have each value, and the most frequent values of each property
SELECT "$lane", "$n", count(*) OVER (PARTITION BY "$lane"), left("$0", 257), "$1"
FROM (SELECT *, CASE WHEN "$0" IS NOT NULL THEN 0 WHEN "$1" IS NOT NULL THEN 1 END AS "$lane" FROM (SELECT "$0", "$1", count(*) AS "$n" FROM (SELECT CASE WHEN "plan" IN (?, ?) THEN "plan" END AS "$0", epoch_us("keen.created_at") AS "$1"
-- the events of the timeframe
FROM (
-- stored in files
SELECT "plan", make_timestamp(epoch_us("keen.created_at")) AS "keen.created_at" FROM read_parquet(?, hive_partitioning=false) WHERE "keen.timestamp" >= make_timestamptz(1767225600000000) AND "keen.timestamp" < make_timestamptz(1767312000000000)))
GROUP BY GROUPING SETS (("$0"), ("$1")))) WHERE "$lane" IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY "$lane" ORDER BY "$n" DESC, "$0", "$1") <= 10

-- values:
-- "pro"
-- "free"
-- ["purchases/1.parquet"]
