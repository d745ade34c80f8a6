-- beside percentiles near the sample

-- each percentile, if it is where the sample says
SELECT (CASE WHEN CAST(greatest(1, (CAST(count("$value") AS HUGEINT) * 1 + 1) // 2) - count(*) FILTER (WHERE "$value" < ?) AS BIGINT) > 0 THEN list_sort(list("$value") FILTER (WHERE "$value" BETWEEN ? AND ?))[CAST(greatest(1, (CAST(count("$value") AS HUGEINT) * 1 + 1) // 2) - count(*) FILTER (WHERE "$value" < ?) AS BIGINT)] END)
FROM (SELECT "price" AS "$value"
-- the events of the timeframe
FROM read_parquet(?, hive_partitioning=false) WHERE "keen.timestamp" >= make_timestamptz(1767225600000000) AND "keen.timestamp" < make_timestamptz(1767312000000000))

-- values:
-- 3.5
-- 3.5
-- 4.25
-- 3.5
-- ["purchases/1.parquet"]
