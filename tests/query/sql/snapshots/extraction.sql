-- asked: extraction {"event_collection": "files", "timeframe": {"start": "2026-01-01", "end": "2026-02-01"}}

-- the newest events
SELECT strlen(concat("keen.id", "plan", "price:long", "user.id", "tags", "ordered_at", "keen.location.coordinates")), strftime(make_timestamp(epoch_us("keen.timestamp")), '%Y-%m-%dT%H:%M:%S.%f'), strftime(make_timestamp(epoch_us("keen.created_at")), '%Y-%m-%dT%H:%M:%S.%f'), "keen.id", "plan", "price", "price:integer", "price:long", "score", "user.id", "user.id:number", "paid", "tags", "ordered_at", "keen.location.coordinates", "keen.nulls", "keen.empties"
-- the events of the timeframe
FROM (
-- stored in files
SELECT make_timestamp(epoch_us("keen.timestamp")) AS "keen.timestamp", make_timestamp(epoch_us("keen.created_at")) AS "keen.created_at", "keen.id", "plan", "price", "price:integer", "price:long", "score", "user.id", "user.id:number", "paid", "tags", "ordered_at", "keen.location.coordinates", CAST(NULL AS VARCHAR[]) AS "keen.nulls", CAST(NULL AS VARCHAR[]) AS "keen.empties" FROM read_parquet(?, hive_partitioning=false)
UNION ALL
-- stored in files
SELECT make_timestamp(epoch_us("keen.timestamp")) AS "keen.timestamp", make_timestamp(epoch_us("keen.created_at")) AS "keen.created_at", "keen.id", "plan", "price", "price:integer", "price:long", "score", "user.id", "user.id:number", "paid", CAST(NULL AS VARCHAR) AS "tags", "ordered_at", "keen.location.coordinates", "keen.nulls", "keen.empties" FROM read_parquet(?, hive_partitioning=false) WHERE "keen.timestamp" >= make_timestamptz(1767225600000000) AND "keen.timestamp" < make_timestamptz(1769904000000000))
ORDER BY "keen.timestamp" DESC LIMIT 100001

-- values:
-- ["purchases/1.parquet"]
-- ["purchases/2.parquet"]
