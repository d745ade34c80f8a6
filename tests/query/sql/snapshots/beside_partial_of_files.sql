-- beside partial of files
SELECT CAST("$bucket" AS INTEGER) AS "$bucket", CAST("$0.string" AS VARCHAR) AS "$0.string", CAST("$rows" AS BIGINT) AS "$rows", CAST("$distinct.user.id" AS VARCHAR) AS "$distinct.user.id", CAST("$distinct.user.id:number" AS DOUBLE) AS "$distinct.user.id:number", CAST("$quantile.2" AS DOUBLE) AS "$quantile.2", CAST("$quantile.2.n" AS BIGINT) AS "$quantile.2.n" FROM (
SELECT CAST((CASE WHEN "$us" < 1767484800000000 THEN 0 ELSE (1 + floor(("$us" - (1767484800000000)) / 604800000000)) END) AS INTEGER) AS "$bucket", "plan" AS "$0.string", count(*) AS "$rows"
-- the events of the timeframe
FROM (
-- stored in files
SELECT "plan", "user.id", "user.id:number", "score", make_timestamp(epoch_us("keen.timestamp")) AS "keen.timestamp", epoch_us("keen.timestamp") AS "$us" FROM read_parquet(?, hive_partitioning=false)
UNION ALL
-- stored in files
SELECT "plan", "user.id", "user.id:number", "score", make_timestamp(epoch_us("keen.timestamp")) AS "keen.timestamp", epoch_us("keen.timestamp") AS "$us" FROM read_parquet(?, hive_partitioning=false) WHERE "keen.timestamp" >= make_timestamptz(1767225600000000) AND "keen.timestamp" < make_timestamptz(1769904000000000))
GROUP BY 1, 2
UNION ALL BY NAME
SELECT CAST((CASE WHEN "$us" < 1767484800000000 THEN 0 ELSE (1 + floor(("$us" - (1767484800000000)) / 604800000000)) END) AS INTEGER) AS "$bucket", "plan" AS "$0.string", "user.id" AS "$distinct.user.id"
-- the events of the timeframe
FROM (
-- stored in files
SELECT "plan", "user.id", "user.id:number", "score", make_timestamp(epoch_us("keen.timestamp")) AS "keen.timestamp", epoch_us("keen.timestamp") AS "$us" FROM read_parquet(?, hive_partitioning=false)
UNION ALL
-- stored in files
SELECT "plan", "user.id", "user.id:number", "score", make_timestamp(epoch_us("keen.timestamp")) AS "keen.timestamp", epoch_us("keen.timestamp") AS "$us" FROM read_parquet(?, hive_partitioning=false) WHERE "keen.timestamp" >= make_timestamptz(1767225600000000) AND "keen.timestamp" < make_timestamptz(1769904000000000))
GROUP BY 1, 2, 3
UNION ALL BY NAME
SELECT CAST((CASE WHEN "$us" < 1767484800000000 THEN 0 ELSE (1 + floor(("$us" - (1767484800000000)) / 604800000000)) END) AS INTEGER) AS "$bucket", "plan" AS "$0.string", "user.id:number" AS "$distinct.user.id:number"
-- the events of the timeframe
FROM (
-- stored in files
SELECT "plan", "user.id", "user.id:number", "score", make_timestamp(epoch_us("keen.timestamp")) AS "keen.timestamp", epoch_us("keen.timestamp") AS "$us" FROM read_parquet(?, hive_partitioning=false)
UNION ALL
-- stored in files
SELECT "plan", "user.id", "user.id:number", "score", make_timestamp(epoch_us("keen.timestamp")) AS "keen.timestamp", epoch_us("keen.timestamp") AS "$us" FROM read_parquet(?, hive_partitioning=false) WHERE "keen.timestamp" >= make_timestamptz(1767225600000000) AND "keen.timestamp" < make_timestamptz(1769904000000000))
GROUP BY 1, 2, 3
UNION ALL BY NAME
SELECT CAST((CASE WHEN "$us" < 1767484800000000 THEN 0 ELSE (1 + floor(("$us" - (1767484800000000)) / 604800000000)) END) AS INTEGER) AS "$bucket", "plan" AS "$0.string", "score" AS "$quantile.2", count("score") AS "$quantile.2.n"
-- the events of the timeframe
FROM (
-- stored in files
SELECT "plan", "user.id", "user.id:number", "score", make_timestamp(epoch_us("keen.timestamp")) AS "keen.timestamp", epoch_us("keen.timestamp") AS "$us" FROM read_parquet(?, hive_partitioning=false)
UNION ALL
-- stored in files
SELECT "plan", "user.id", "user.id:number", "score", make_timestamp(epoch_us("keen.timestamp")) AS "keen.timestamp", epoch_us("keen.timestamp") AS "$us" FROM read_parquet(?, hive_partitioning=false) WHERE "keen.timestamp" >= make_timestamptz(1767225600000000) AND "keen.timestamp" < make_timestamptz(1769904000000000))
GROUP BY 1, 2, 3)
ORDER BY ALL

-- values:
-- ["purchases/1.parquet"]
-- ["purchases/2.parquet"]
-- ["purchases/1.parquet"]
-- ["purchases/2.parquet"]
-- ["purchases/1.parquet"]
-- ["purchases/2.parquet"]
-- ["purchases/1.parquet"]
-- ["purchases/2.parquet"]
