-- beside versions compared

-- the events to compare with those of another version
SELECT "keen.id" AS id, epoch_us("keen.timestamp") AS at_us, epoch_us("keen.created_at") AS received_us, coalesce("price" > ?, FALSE) AS meant, hash("price") AS digest
-- the events of the timeframe
FROM (
-- stored in files
SELECT "price", "keen.id", make_timestamp(epoch_us("keen.timestamp")) AS "keen.timestamp", make_timestamp(epoch_us("keen.created_at")) AS "keen.created_at" FROM read_parquet(?, hive_partitioning=false) WHERE "keen.timestamp" >= make_timestamptz(1767225600000000) AND "keen.timestamp" < make_timestamptz(1767312000000000))

-- values:
-- 3.0
-- ["purchases/1.parquet"]
