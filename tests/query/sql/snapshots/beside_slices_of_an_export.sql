-- beside slices of an export

-- where each slice of the newest events begins
SELECT min("$us"), count(*) FROM (SELECT epoch_us("keen.timestamp") AS "$us", row_number() OVER (ORDER BY "keen.timestamp" DESC) AS "$n"
-- the events of the timeframe
FROM (
-- stored in files
SELECT make_timestamp(epoch_us("keen.timestamp")) AS "keen.timestamp" FROM read_parquet(?, hive_partitioning=false) WHERE "keen.timestamp" >= make_timestamptz(1767225600000000) AND "keen.timestamp" < make_timestamptz(1767312000000000))) WHERE "$n" <= 5000 GROUP BY ("$n" - 1) // 1000 ORDER BY 1 DESC

-- values:
-- ["purchases/1.parquet"]
